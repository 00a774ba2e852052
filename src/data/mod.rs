//! The data of training: books, queries and comparisons.
//!
//! ```text
//! books ──clean──▶ next-token training
//!   └──queries_from_book──▶ queries ──▶ both loops of Figure 1
//! comparisons, preferences, openai ──split──▶ reward training | held-out accuracy
//! ```
//!
//! Nothing here opens a file, starts a thread or reads a clock: functions take a reader or a text, and its path
//! only for their error messages. [`left_out::LeftOut`] counts texts and comparisons that are left out or
//! changed.

pub mod books;
pub mod comparisons;
pub mod entries;
pub mod left_out;
pub mod openai;
pub mod preferences;
pub mod queries;
pub mod split;
mod table;
pub(crate) mod text_lines;

use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::json;

pub use left_out::{Cut, LeftOut, Reason};

/// Reads one line of JSONL; lines count from 1.
///
/// `torn_hint` is the hint for a line that ends before its JSON does, where the line may be incomplete.
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

/// Returns a text without the byte order mark that some editors write.
pub(crate) fn without_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
