//! The task that reinforcement learning solves: which queries are continued, where a response ends, and what
//! scores it.

mod command_scorer;
mod original_labels;
mod queries;
mod scorer;
mod texts;
mod tokens;
mod variety;

pub use command_scorer::CommandScorer;
pub use original_labels::{LabelEncoder, is_changed_as_text, label_to_comparison, original_labels};
pub use queries::Queries;
pub use scorer::{Scorer, Scores, TextScorer, WeightedSum};
pub use tokens::{EncodedQuery, Task, Truncation};
pub use variety::Variety;
