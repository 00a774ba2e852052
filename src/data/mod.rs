//! What training reads: books, queries and comparisons.
//!
//! ```text
//! books ──clean──▶ next-token training
//!   └──queries_from_book──▶ queries ──▶ both loops of Figure 1
//! comparisons, preferences, openai ──split──▶ reward training | held-out accuracy
//! ```
//!
//! Nothing here opens a file, starts a thread or reads a clock: functions take a reader or the text, and the
//! path it came from only for their error messages. [`left_out::LeftOut`] counts what does not count as it
//! stands in its file.

pub mod books;
pub mod comparisons;
pub mod entries;
pub mod left_out;
pub mod openai;
pub mod preferences;
pub mod queries;
pub mod split;
mod table;
pub mod text_lines;

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::json;

pub use left_out::{Cut, LeftOut, Reason};

/// Reads one line of JSONL; lines count from 1.
///
/// `torn_hint` is for a line that ends before its JSON does, where that may have been cut off.
fn parse_json_line(line: &str, line_number: usize, path: &Path, hint: &str, torn_hint: Option<&str>) -> Result<Value> {
    json::from_slice(line.as_bytes()).map_err(|fault| {
        // serde_json ends its text with "at line 1 column …": line 1 of this line, which would
        // contradict the line number of the file.
        let text = fault.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text);
        let what = format!("not the JSON expected here: {reason} (column {})", fault.column());
        Error::line(path, line_number, what, torn_hint.filter(|_| fault.is_eof()).unwrap_or(hint))
    })
}

/// Text as editors on every system see it: no byte order mark.
pub(crate) fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
