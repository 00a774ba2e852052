//! Text files with one entry a line. JSON and tables are refused, and never read as text.

use std::path::Path;

use serde_json::Value;

use super::left_out::{LeftOut, Reason};
use super::{table, without_byte_order_mark};
use crate::error::{Error, Result};
use crate::json;

const HINT: &str = "give text, one entry a line, or a file that is JSON from its first line on";

/// Checks whether a file that begins with this line is JSON, intact or damaged. A line such as `[The door
/// opened.` is text.
pub(super) fn begins_json(first_line: &str) -> bool {
    let Some(rest) = first_line.strip_prefix('[') else { return first_line.starts_with('{') };
    let is_of_numbers = |text: &str| text.chars().all(|c| c.is_ascii_digit() || "+-.eE, []".contains(c));
    matches!(rest.trim_start().chars().next(), None | Some('{' | '[' | '"' | ']')) || is_of_numbers(rest)
}

/// Returns the lines that are not blank, without the white space around them, each with its number from 1, and
/// counts the blank ones.
///
/// # Errors
/// [`Error::Input`] with the line number for the header of a table, for a line that is JSON, for a carriage
/// return inside a line, and where all lines are texts in the quotes of JSON.
pub(crate) fn text_lines<'a>(text: &'a str, path: &Path, left_out: &mut LeftOut) -> Result<Vec<(usize, &'a str)>> {
    refuse_carriage_returns(text, path)?;
    let all = || (1..).zip(without_byte_order_mark(text).lines().map(str::trim));
    let lines: Vec<(usize, &str)> = all().filter(|(_, line)| !line.is_empty()).collect();
    left_out.count(Reason::BlankLines, blank_lines(text));
    let Some(&(number, first)) = lines.first() else { return Ok(lines) };
    if let Some(error) = table::refuse(first, number, path) {
        return Err(error);
    }
    if begins_json(first) {
        return Err(Error::line(
            path,
            number,
            "this line is JSON, but the file is read as text, one entry per line",
            HINT,
        ));
    }
    if let Some((number, _)) = lines.iter().find(|(_, line)| is_json(line)) {
        return Err(Error::line(path, *number, "this line is JSON, and those before it are text", HINT));
    }
    let is_quoted = |&(_, line): &(usize, &str)| matches!(json::from_slice(line.as_bytes()), Ok(Value::String(_)));
    if lines.iter().all(is_quoted) && (lines.len() > 1 || first.contains('\\')) {
        return Err(Error::line(path, number, "every line is a text in the quotes of JSON", "remove the quotes"));
    }
    Ok(lines)
}

/// Refuses lines that end in a carriage return alone, which would be read as one line.
fn refuse_carriage_returns(text: &str, path: &Path) -> Result<()> {
    let ends_in_one = |line: &str| line.strip_suffix('\r').unwrap_or(line).contains('\r');
    match text.split('\n').position(ends_in_one) {
        None => Ok(()),
        Some(line) => Err(Error::line(
            path,
            line + 1,
            "there is a carriage return inside this line: some old programs end lines in this way",
            "save the file with line feeds at the ends of lines",
        )),
    }
}

/// Counts the lines with nothing but white space.
pub(super) fn blank_lines(text: &str) -> usize {
    without_byte_order_mark(text).lines().filter(|line| line.trim().is_empty()).count()
}

/// Refuses a text that is JSON from its first line on, or a table.
///
/// # Errors
/// [`Error::Input`] with the line.
#[cfg(feature = "cli")]
pub(crate) fn refuse_json(text: &str, path: &Path) -> Result<()> {
    let mut lines = (1..).zip(without_byte_order_mark(text).lines().map(str::trim));
    let Some((number, first)) = lines.find(|(_, line)| !line.is_empty()) else { return Ok(()) };
    let begins_list = ["[{", "[\""].iter().any(|beginning| first.replace(' ', "").starts_with(beginning));
    match table::refuse(first, number, path) {
        Some(error) => Err(error),
        None if is_json(first) || begins_list || matches!(first, "[" | "{") => Err(Error::line(
            path,
            number,
            "this line is JSON, but the file is read as text",
            "save the texts themselves as .txt",
        )),
        None => Ok(()),
    }
}

/// Checks whether a line is an object or a list of JSON, or begins one. A list of numbers does not count,
/// because it may be a footnote.
fn is_json(line: &str) -> bool {
    let of_texts = |value: &Value| value.as_array().is_some_and(|all| all.iter().any(|one| !one.is_number()));
    match line.starts_with(['{', '[']) {
        true => {
            line.starts_with("{\"")
                || json::from_slice(line.as_bytes()).is_ok_and(|value: Value| value.is_object() || of_texts(&value))
        }
        false => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(usize, &str)>> {
        text_lines(text, Path::new("lines.txt"), &mut LeftOut::default())
    }

    #[test]
    fn text_is_kept_and_blank_lines_are_counted() {
        let mut left_out = LeftOut::default();
        let text = "\u{feff}[The door opened.\r\n\n \n[1] He woke. {Late.}\n\"Come in.\"\n[1]\n";
        let lines = text_lines(text, Path::new("lines.txt"), &mut left_out).unwrap();
        assert_eq!(lines, [(1, "[The door opened."), (4, "[1] He woke. {Late.}"), (5, "\"Come in.\""), (6, "[1]")]);
        assert_eq!(left_out.number(Reason::BlankLines), 2);
        assert_eq!(read("\"Come in.\"\n").unwrap(), [(1, "\"Come in.\"")]);
    }

    #[test]
    fn books_are_told_from_json() {
        let refuse = |text: &str| refuse_json(text, Path::new("book.txt"));
        for book in ["[Illustration]\n\nEmma.", "\u{feff}{1} A footnote.", "", "\"Come in,\" he said."] {
            refuse(book).unwrap();
        }
        for other in ["{\"text\": \"a\"}\n", "[\n{", "[{\"text\":", "\n[ \"a\",", "text,label\n"] {
            assert_eq!(refuse(other).unwrap_err().exit_code(), 4, "{other}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_line() {
        for (text, says) in [
            ("[\n  {\n", "lines.txt:1: this line is JSON, but"),
            ("{\"query\": \"a\"}\n", "lines.txt:1: this line is JSON, but"),
            ("[1, 2,\n3]", "lines.txt:1: this line is JSON, but"),
            ("[\"a\", \"b\"]", "lines.txt:1: this line is JSON, but"),
            ("A.\n\n{\"query\": \"a\"}\n", "lines.txt:3: this line is JSON, and"),
            ("A.\n[\"a\", \"b\"]", "lines.txt:2: this line is JSON, and"),
            ("\"A.\"\n\"B.\"\n", "lines.txt:1: every line is a text in the quotes of JSON"),
            ("id\tprompt\n1\tA.\n", "lines.txt:1: this is a table with the columns id, prompt"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.to_string().starts_with(says), "{error}");
            assert_eq!(error.exit_code(), 4);
        }
    }
}
