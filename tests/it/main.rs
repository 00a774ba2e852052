//! One binary, so that Burn is linked once.

mod adam;
mod commands;
mod compatibility;
mod devices;
mod extremes;
mod fetch;
mod gpt2_124m;
mod gradients;
mod http_server;
mod hugging_face;
mod kills;
mod label;
#[cfg(feature = "web")]
mod label_browser;
#[cfg(feature = "web")]
mod label_page;
#[cfg(feature = "web")]
mod label_page_hostile;
mod left_out;
mod model;
mod model_folder;
mod mutations;
mod operations;
mod original_labels;
mod outputs;
mod parity;
mod policy;
mod program;
mod resume;
mod reward;
mod shown_text;
mod small_runs;
mod supervised;
mod task;
mod tiny;
mod tokenizer;
mod tokenizer_mutations;
mod train;
