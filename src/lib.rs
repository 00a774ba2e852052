//! Fine-tunes a language model from human preferences, as *Fine-Tuning Language Models from Human
//! Preferences* (Ziegler et al., 2019) does. The folders are the paper's Figure 1:
//!
//! ```text
//!        Reward model training                        Policy training
//!
//!   queries ── data, task                       queries ── data, task
//!      │                                           │
//!      ▼                                           ▼
//!   language model samples N ── lm, labels      policy samples 1 ── policy::Rollouts
//!      │                                           │
//!      ▼                                           ▼
//!   labeler chooses the best ── labels          reward model scores it ── reward
//!      │                                           │
//!      ▼                                           ▼
//!   reward model learns the choice ── reward    score − β · KL, PPO step ── policy
//! ```
//!
//! [`stages`] runs these one after the other: once (offline), or in rounds, which collect new labels and train a new
//! reward model while the policy is trained (online). [`guide`] is the manual.
//!
//! # Tour
//!
//! Open a model and sample from it. Random numbers are passed in, so that a seed gives the same responses on every
//! backend, up to rounding:
//!
//! ```
//! use preftune::random::{Stream, uniform};
//! use preftune::{Interrupt, Sampling, sample};
//!
//! let device = preftune::open_device("cpu".parse()?)?.device;
//! let model = preftune::open("storyteller", &device)?;
//! let query = model.tokenizer.encode("The old captain")?;
//! let sampling = Sampling { response_length: 8, temperature: 0.7, responses_per_query: 4 };
//! let numbers = |row| uniform(1, Stream::Sampling, 0, row as u64, sampling.response_length);
//! let sampled = sample(&model.transformer, None, &[query], &sampling, numbers, &Interrupt::new())?;
//! assert_eq!(sampled.responses.len(), 4);
//! # Ok::<(), preftune::Error>(())
//! ```
//!
//! A [`Labeler`] chooses the best of several responses: people ([`labels::People`]), a simulated one
//! ([`SimulatedLabeler`]), a program of any language ([`CommandLabeler`]), or your own:
//!
//! ```
//! use preftune::{Error, Judgment, Labeler, Result};
//!
//! struct Brief;
//!
//! impl Labeler for Brief {
//!     fn name(&self) -> &str {
//!         "brief"
//!     }
//!
//!     fn judge(&mut self, _query: &str, responses: &[String]) -> Result<Judgment> {
//!         let scores: Vec<f64> = responses.iter().map(|response| -(response.len() as f64)).collect();
//!         Judgment::of_highest(&scores).ok_or_else(|| Error::failed("there is no response", ""))
//!     }
//! }
//!
//! assert_eq!(Brief.judge("", &["long".into(), "no".into()])?.best, 1);
//! # Ok::<(), preftune::Error>(())
//! ```
//!
//! A [`Scorer`] scores responses in the policy loop: a [`RewardModel`], a function of texts ([`TextScorer`]), a program
//! ([`CommandScorer`]), or a weighted sum of several ([`WeightedSum`]). Tune a policy towards short responses:
//!
//! ```no_run
//! use preftune::data::LeftOut;
//! use preftune::*;
//!
//! let OpenDevice { device, device_memory, .. } = open_device("auto".parse()?)?;
//! let (model, settings, interrupt) = (&open("storyteller", &device)?, &Config::default(), &Interrupt::new());
//! let session = Session { model, settings, interrupt, device_memory, seed: 1, progress: Mode::Shown };
//! let task = Task::new(&settings.task, model)?;
//! let queries = Queries::Text(openings()?.train).tokens(model, &task, &mut LeftOut::default())?;
//! let shortness = TextScorer::new(&model.tokenizer, |texts: &[(String, String)]| {
//!     // A response that is not valid (has no period where one counts) gets the penalty of the task, −1.
//!     Ok(texts.iter().map(|(_, response)| 2.0 - response.len() as f64 / 40.0).collect())
//! });
//! let updates = settings.policy.updates;
//! train_policy(&session, &shortness, &queries, updates, &RunDirectory::open("runs/short")?)?;
//! # Ok::<(), preftune::Error>(())
//! ```
//!
//! [`StyleExperiment`] goes from labels to a tuned policy in two calls, and the programs in `examples/` show the parts
//! of an update ([`policy::ppo`]) and a model of your own.
//!
//! # Layers
//!
//! Each module imports only from later ones in this list: `cli`, [`report`], [`stages`], [`eval`], [`policy`] and
//! [`supervised`], [`reward`], [`labels`], [`task`], [`training`], [`lm`], [`data`], [`run`], [`device`] and
//! [`config`], [`platform`]. Beside them, [`models`] opens models, [`fetch`] downloads models, labels and books from
//! public servers, and [`mod@bench`] measures the work of an update.
// Allowed in one module: products of matrices on `flex`.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]
#![recursion_limit = "256"]

pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
mod error;
pub mod eval;
pub mod fetch;
mod finite;
pub(crate) mod format_version;
pub mod guide;
mod json;
pub mod labels;
pub mod lm;
pub mod models;
pub mod platform;
pub mod policy;
pub mod random;
pub mod report;
pub mod reward;
pub mod run;
pub(crate) mod sanitize;
pub mod stages;
pub mod statistics;
pub mod supervised;
pub mod task;
pub mod training;

pub use config::Config;
pub use data::queries::openings;
pub use device::{OpenDevice, open as open_device};
pub use error::{Error, Result};
pub use eval::{Contestant, Tournament};
pub use labels::{CommandLabeler, Judgment, LabelLog, Labeler, SimulatedLabeler};
pub use lm::{LanguageModel, Responses, Sampling, Tokenizer, Transformer, sample};
pub use models::{open, open_reward_model};
pub use platform::{Interrupt, Mode};
pub use policy::{Policy, Rollouts};
pub use reward::{RewardLabeler, RewardModel};
pub use run::RunDirectory;
pub use stages::{Rounds, Session, StyleExperiment, label, train_policy, train_reward};
pub use task::{CommandScorer, Queries, Scorer, Scores, Task, TextScorer, WeightedSum};

/// The program in the README is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
