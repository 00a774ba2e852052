//! One HTML file that shows a run and opens anywhere: no network, no script.
//!
//! [`run_report`] chooses what to show; [`Report`] is the page, or a sheet with its curves alone;
//! [`Chart`] and [`IntervalChart`] are its drawings. The same report gives the same bytes.

use crate::eval::Standing;

mod axes;
mod chart;
mod interval_chart;
mod page;
mod reward_charts;
mod run_folder;
mod run_report;
mod run_report_input;
mod scale;
mod summary;
mod svg;
mod text;

pub use chart::{Chart, Series};
pub use interval_chart::IntervalChart;
pub use run_folder::{Judgment, Verdict, check_judgments};
pub use run_report::run_report;
pub use run_report_input::{MetricsRow, RunReportInput};
pub use text::escape;

/// What the page says. Empty parts are left out of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub title: String,
    /// What happened, in plain sentences.
    pub summary: String,
    pub key_figures: Vec<KeyFigure>,
    pub charts: Vec<Chart>,
    pub win_rates: Vec<IntervalChart>,
    /// Who was judged, each time.
    pub contestants: Vec<Contestants>,
    pub samples: Vec<SampleRow>,
    /// The score of a response that could not be cut, where responses are cut.
    pub penalty: Option<f64>,
    /// The configuration the run had, as TOML.
    pub settings: String,
    /// What the run ran on, as (name, value).
    pub environment: Vec<(String, String)>,
}

/// Those who were judged once.
#[derive(Debug, Clone, PartialEq)]
pub struct Contestants {
    pub labeler: String,
    pub standings: Vec<Standing>,
}

/// One number that a reader looks for first.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyFigure {
    pub label: String,
    pub value: String,
    pub note: String,
}

/// One query, continued before and after tuning, with what the reward model gives each where it
/// was asked.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SampleRow {
    pub query: String,
    pub before: String,
    pub after: String,
    pub before_score: Option<f64>,
    pub after_score: Option<f64>,
}
