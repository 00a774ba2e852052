//! Tests of the program: files in, results and messages out.

mod commands;
mod extremes;
mod hugging_face;
mod left_out;
mod model_folder;
mod outputs;
mod program;
mod shown_text;
mod tokenizer_mutations;
