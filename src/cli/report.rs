//! `preftune report`: a run as one HTML file.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::Common;
use crate::error::{Error, Result};
use crate::platform::{OutputFile, files};
use crate::report::{Report, RunReportInput, run_report};
use crate::run::RunDirectory;
use crate::sanitize::sanitize_path;

/// Write a run's curves, samples and win rates as one HTML file that works offline
#[derive(Args)]
#[command(after_help = "Examples:
  preftune report runs/demo-seed-1
  preftune report runs/demo-seed-1 --svg curves.svg")]
pub(super) struct Arguments {
    /// The run folder
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Output file of the page; if not given, report.html in the run folder, which is replaced each time
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Output file of one SVG drawing with the curves alone
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Serialize)]
struct Outcome {
    #[serde(serialize_with = "files::serialize_path")]
    report: PathBuf,
    svg: Option<String>,
}

pub(super) fn run(arguments: Arguments, common: &Common) -> Result<()> {
    let own = arguments.run.join("report.html");
    let out = arguments.out.unwrap_or_else(|| own.clone());
    let report = read(&arguments.run)?;
    if arguments.svg.as_ref() == Some(&out) {
        return Err(Error::usage("--svg names the file of the report", "choose another file"));
    }
    // Both outputs are checked before one is written.
    let page = OutputFile::new_or_own(&out, &own)?;
    let drawing = arguments.svg.as_deref().map(OutputFile::new).transpose()?;
    page.write(report.to_html().as_bytes())?;
    let mut text = format!("report written to {}", sanitize_path(&out));
    if let (Some(drawing), Some(svg)) = (drawing, &arguments.svg) {
        drawing.write(report.to_svg().as_bytes())?;
        text.push_str(&format!("\ncurves written to {}", sanitize_path(svg)));
    }
    let svg = arguments.svg.map(|svg| svg.to_string_lossy().into_owned());
    common.print(&Outcome { report: out, svg }, &text)
}

/// Writes the page of a run into its folder. Parts that the run does not have are left out.
pub(super) fn write(directory: &RunDirectory) -> Result<()> {
    let page = read(directory.path())?.to_html();
    files::write_atomically(&directory.report(), page.as_bytes())
}

fn read(run: &Path) -> Result<Report> {
    Ok(run_report(&RunReportInput::of_run(run)?))
}
