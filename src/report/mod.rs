//! Reports of runs as one HTML file that opens anywhere, without network and without scripts.
//!
//! [`run_report`] chooses what to show. [`Report`] is the page, or a drawing of its curves alone. [`Chart`]
//! and [`IntervalChart`] are the drawings on the page. The same report gives the same bytes.

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
pub use run_report_input::RunReportInput;
pub use text::escape;

/// Content of the page. Empty parts are left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    pub title: String,
    /// Summary of the run in plain sentences.
    pub summary: String,
    pub key_figures: Vec<KeyFigure>,
    pub charts: Vec<Chart>,
    pub win_rates: Vec<IntervalChart>,
    /// Contestants of each judgment.
    pub contestants: Vec<Contestants>,
    pub samples: Vec<SampleRow>,
    /// Score of a response that is not valid, if the task truncates responses.
    pub penalty: Option<f64>,
    /// Settings of the run, as TOML.
    pub settings: String,
    /// Facts about where the run ran, as (name, value).
    pub environment: Vec<(String, String)>,
}

/// Contestants of one judgment.
#[derive(Debug, Clone, PartialEq)]
pub struct Contestants {
    pub labeler: String,
    pub standings: Vec<Standing>,
}

/// A number that stands at the top of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyFigure {
    pub label: String,
    pub value: String,
    pub note: String,
}

/// One query, continued before and after tuning, with the score of each response if there was a reward model.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SampleRow {
    pub query: String,
    pub before: String,
    pub after: String,
    pub before_score: Option<f64>,
    pub after_score: Option<f64>,
}
