//! `preftune guide`: the manual.

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use super::Common;
use crate::error::Result;
use crate::guide::PAGES;

/// Print a page of the manual, or the list of its pages
#[derive(Args)]
#[command(after_help = "Examples:
  preftune guide
  preftune guide labelling
  preftune guide settings | less")]
pub(super) struct Arguments {
    /// Page of the manual; if not given, all pages are listed
    #[arg(value_name = "PAGE", value_parser = PossibleValuesParser::new(PAGES.iter().map(|page| page.name)))]
    page: Option<String>,
}

/// A line of the list, or a page.
#[derive(Serialize)]
struct Shown {
    page: &'static str,
    purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'static str>,
}

pub(super) fn run(arguments: &Arguments, common: &Common) -> Result<()> {
    let wanted = arguments.page.as_ref().and_then(|name| PAGES.iter().find(|page| page.name == name));
    if let Some(page) = wanted {
        let shown = Shown { page: page.name, purpose: page.purpose(), text: Some(page.text) };
        return common.print(&shown, page.text.trim_end());
    }
    let shown = PAGES.iter().map(|page| Shown { page: page.name, purpose: page.purpose(), text: None });
    let lines: Vec<String> = PAGES.iter().map(|page| format!("{:<12} {}", page.name, page.purpose())).collect();
    common.print(&shown.collect::<Vec<_>>(), &lines.join("\n"))
}
