//! One binary, so that Burn is linked once.

mod adam;
mod devices;
mod fetch;
mod gpt2_124m;
mod gradients;
mod http_server;
mod hugging_face;
mod label;
#[cfg(feature = "web")]
mod label_browser;
#[cfg(feature = "web")]
mod label_page;
mod left_out;
mod model;
mod operations;
mod original_labels;
mod parity;
mod policy;
mod program;
mod reward;
mod supervised;
mod tiny;
mod tokenizer;
mod train;
