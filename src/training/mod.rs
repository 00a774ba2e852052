//! Parts that every training loop shares: gradients, optimizers, learning rates, memory, and the state that a
//! checkpoint keeps.

mod adam;
pub(crate) mod canonical_record;
mod checkpointing;
pub(crate) mod finite_loss;
mod gradient_squares;
pub(crate) mod gradients;
pub(crate) mod host_state;
pub mod learning_rate;
pub(crate) mod memory;
pub mod training_state;

pub use adam::Adam;
pub use checkpointing::{Checkpointing, Due, LoopState, Steps};
pub use gradient_squares::GradientSquares;
pub use gradients::Backward;
