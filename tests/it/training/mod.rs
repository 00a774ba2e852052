//! Reward models, policies, supervised training and rounds: what they learn, and how they stop and resume.

mod compatibility;
mod kills;
mod original_labels;
mod policy;
mod resume;
mod reward;
mod supervised;
mod train;
