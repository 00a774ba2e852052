//! Both loops, supervised training and rounds: what they learn, how they stop and go on.

mod compatibility;
mod kills;
mod original_labels;
mod policy;
mod resume;
mod reward;
mod supervised;
mod train;
