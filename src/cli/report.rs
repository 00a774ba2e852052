//! `preftune report`: a run as one HTML file.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::error::Result;
use crate::report::{RunReportInput, run_report};
use crate::run::files;

/// Write a run's curves, samples and verdict as one HTML file that works offline
#[derive(Args)]
#[command(after_help = "Example:
  preftune report runs/demo-seed-1")]
pub struct Arguments {
    /// The run folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Where the page goes; report.html in the run folder if not given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    report: PathBuf,
}

pub fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let out = arguments.out.unwrap_or_else(|| arguments.run.join("report.html"));
    write(&arguments.run, &out)?;
    let text = format!("report written to {}", out.display());
    common.print(&Outcome { report: out }, &text)
}

/// Reads what the run left and writes the page; parts that are missing are left out.
pub fn write(run: &Path, out: &Path) -> Result<()> {
    let page = run_report(&RunReportInput::of_run(run)?).to_html();
    files::create_folder_of(out)?;
    files::write_atomically(out, page.as_bytes())
}
