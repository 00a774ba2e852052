//! Fine-tunes a language model from human preferences, as *Fine-Tuning Language Models from Human
//! Preferences* (Ziegler et al., 2019) does. The folders are the paper's Figure 1:
//!
//! ```text
//!        Reward model training                       Policy training
//!
//!   queries ── data                             queries ── data
//!      │                                           │
//!      ▼                                           ▼
//!   language model draws N ── reward::collect   policy draws 1 ── policy::Rollouts
//!      │                                           │
//!      ▼                                           ▼
//!   labeler chooses the best ── labels          reward model scores it ── reward
//!      │                                           │
//!      ▼                                           ▼
//!   reward model learns the choice ── reward    score − β · KL, PPO step ── policy
//! ```
//!
//! [`stages`] goes through them one after the other: once, or in rounds of labels and fits while the policy
//! trains, which is the arrow between the two.
//!
//! Data flows `data → lm → labels → reward → policy → eval → stages → report`; [`run`], [`config`] and
//! [`device`] stand below them all; [`cli`] stands above. [`supervised`] is
//! next-token training, on text and on chosen responses. [`fetch`] brings models, labels and books from
//! public servers, [`bench`] measures the work of an update; nothing but [`cli`] uses these two.
// Allowed in one module: products of matrices on `flex`.
#![deny(unsafe_code)]
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
pub mod format_version;
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
pub mod sanitize;
pub mod stages;
pub mod statistics;
pub mod supervised;
pub mod task;
pub mod training;

pub use error::{Error, Result};

/// The program in the README is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
