//! Next-token training: `pretrain` makes a language model from text.

mod corpus;
mod held_out;
mod optimizer;
mod pretrain;

pub use corpus::{Corpus, Texts, Windows};
pub use held_out::{HeldOut, evaluate};
pub use pretrain::{Pretrained, Pretraining};
