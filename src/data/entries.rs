//! The entries of JSONL or of one JSON array, each with the line on which it begins.

use std::path::Path;

use serde_json::{Deserializer, Value};

use super::comparisons::TORN_HINT;
use super::parse_json_line;
use crate::error::{Error, Result};

const HINT: &str = "each entry is one JSON object; correct it or delete it";

/// Every line, or the entries of an array up to the first that is no JSON.
pub(super) fn entries<'a>(text: &'a str, path: &'a Path) -> Box<dyn Iterator<Item = Result<(usize, Value)>> + 'a> {
    match text.trim_start().strip_prefix('[') {
        Some(rest) => {
            Box::new(ArrayEntries { text, rest, path, line: 1, left: text.len(), begun: false, ended: false })
        }
        None => Box::new(line_entries(text, path)),
    }
}

fn line_entries<'a>(text: &'a str, path: &'a Path) -> impl Iterator<Item = Result<(usize, Value)>> + 'a {
    let complete_lines = text.matches('\n').count();
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(move |(number, line)| {
        let hint = if number > complete_lines { TORN_HINT } else { HINT };
        Ok((number, parse_json_line(line, number, path, hint)?))
    })
}

struct ArrayEntries<'a> {
    text: &'a str,
    /// What is still to be read, from after the opening bracket.
    rest: &'a str,
    path: &'a Path,
    /// Of where `rest` began when lines were last counted, and how much was left then.
    line: usize,
    left: usize,
    begun: bool,
    ended: bool,
}

impl Iterator for ArrayEntries<'_> {
    type Item = Result<(usize, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read();
        self.ended = !matches!(read, Ok(Some(_)));
        read.transpose()
    }
}

impl ArrayEntries<'_> {
    /// The next entry, if there is one.
    fn read(&mut self) -> Result<Option<(usize, Value)>> {
        if self.takes("]") {
            self.skip_white_space();
            return if self.rest.is_empty() { Ok(None) } else { Err(self.fault("text after the end of the array")) };
        }
        if self.begun && !self.takes(",") {
            return Err(self.fault("a comma or the end of the array is missing"));
        }
        self.begun = true;
        self.skip_white_space();
        let line = self.line();
        let mut values = Deserializer::from_str(self.rest).into_iter();
        match values.next() {
            Some(Ok(value)) => {
                self.rest = self.rest.get(values.byte_offset()..).unwrap_or_default();
                Ok(Some((line, value)))
            }
            Some(Err(error)) => Err(self.fault(&error.to_string())),
            None => Err(self.fault("the end of the array is missing")),
        }
    }

    /// Skips white space, and then `what` if it is there.
    fn takes(&mut self, what: &str) -> bool {
        self.skip_white_space();
        let after = self.rest.strip_prefix(what);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn skip_white_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// The line on which `rest` begins.
    fn line(&mut self) -> usize {
        let newly_read = self.text.len() - self.left..self.text.len() - self.rest.len();
        let newly_read = self.text.as_bytes().get(newly_read).unwrap_or_default();
        self.line += newly_read.iter().filter(|&&byte| byte == b'\n').count();
        self.left = self.rest.len();
        self.line
    }

    fn fault(&mut self, what: &str) -> Error {
        Error::line(self.path, self.line(), format!("not the JSON expected here: {what}"), HINT)
    }
}
