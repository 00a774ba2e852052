//! Parts that every training loop shares: gradients, optimizers, learning rates, memory, and the state that a
//! checkpoint keeps.

mod adam;
pub mod canonical_record;
mod checkpointing;
pub mod finite_loss;
mod gradient_squares;
pub mod gradients;
pub mod host_state;
pub mod learning_rate;
pub mod memory;
pub mod training_state;

pub use adam::Adam;
pub use checkpointing::{Checkpointing, Due, Resumed};
pub use gradient_squares::GradientSquares;
pub use gradients::Backward;
