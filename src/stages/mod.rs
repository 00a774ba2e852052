//! Stages of Figure 1, which commands run one after the other.
//!
//! [`label`], [`train_reward`] and [`train_policy`] are one stage each, from the settings to the files in the folder of
//! a run. [`Rounds`] connects the two loops: it labels and trains reward models while the policy trains.
//! [`StyleExperiment`] is the paper's experiment, with everything it compares.

mod continuations;
mod export;
mod fixed_backward;
mod inputs;
mod labels;
mod policy;
mod pretrain;
mod reward;
mod rounds;
mod schedule;
mod settled_labels;
mod style_experiment;
mod supervised;

pub use continuations::{Continuations, Part};
pub use export::{Exported, Format, export};
pub use fixed_backward::fixed_backward;
pub use inputs::{
    ComparisonsFile, fetched_file, fingerprint_if_given, fingerprint_of_file, fingerprint_of_labeler,
    fingerprint_of_question, read_comparisons, read_queries,
};
pub use labels::{check_keys, label, labelling, open_log, queue_settings};
pub use policy::{round_frozen_models, train_policy, train_policy_from};
pub use pretrain::Pretraining;
pub use reward::{RewardOutcome, train_reward, with_reasons};
pub use rounds::{LabelSource, RoundOutcome, Rounds, fits_of};
pub use schedule::{Round, rounds};
pub use style_experiment::{Labels, StyleExperiment, Table, Tuned};
pub use supervised::{Supervised, fine_tune};

use crate::config::Config;
use crate::device::DeviceMemory;
use crate::lm::LanguageModel;
use crate::platform::{Interrupt, Mode};

/// Model, settings and device that every stage works with.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// The pretrained model.
    pub model: &'a LanguageModel,
    pub settings: &'a Config,
    pub seed: u64,
    /// Memory of the device.
    pub device_memory: DeviceMemory,
    pub interrupt: &'a Interrupt,
    pub progress: Mode,
}
