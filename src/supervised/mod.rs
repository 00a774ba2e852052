//! Next-token training, one loop for two commands: `pretrain` trains a language model on text, `sft` trains one on
//! chosen responses.

mod chosen;
mod corpus;
mod examples;
mod held_out;
mod optimizer;
mod pretrain;
mod train;

pub use chosen::Chosen;
pub use corpus::{Corpus, Texts};
pub use examples::{Example, ExampleBatch, Examples};
pub use held_out::{HeldOut, HeldOutExamples};
pub use optimizer::SupervisedOptimizer;
pub use train::{NextTokenTraining, Schedule, Trained};
