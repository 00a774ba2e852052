//! The entries of JSONL or of one JSON array, each with the line on which it begins, read one after the other.

mod bytes;

use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::comparisons::TORN_HINT;
use super::{parse_json_line, table};
use crate::error::{Error, Result};
use crate::json;
use crate::platform::foreign::foreign_kind;
use bytes::Bytes;

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const HINT: &str = "each entry is one JSON object; correct it or delete it";

/// An entry, and the line on which it begins, from 1.
pub type Entry = (usize, Value);

/// An iterator over the entries of a file, with one entry in memory at a time. After a bad line of JSONL the
/// next line is read; a bad entry of an array ends the iterator.
pub struct Entries<R> {
    bytes: Bytes<R>,
    path: PathBuf,
    layout: Option<Layout>,
    /// Hint for a bad entry; with `None` the hint depends on the entry's place.
    hint: Option<&'static str>,
    peeked: Option<Option<Result<Entry>>>,
    /// The entry that was read last, as it stands in the file.
    text: Vec<u8>,
    /// True after the first entry of an array was read.
    begun: bool,
    ended: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Lines,
    Array,
}

impl<R: BufRead> Entries<R> {
    /// Reads from the beginning of a file; `path` is named in errors.
    pub fn new(reader: R, path: &Path) -> Self {
        let bytes = Bytes::new(reader, path);
        Self {
            bytes,
            path: path.into(),
            layout: None,
            hint: None,
            peeked: None,
            text: Vec::new(),
            begun: false,
            ended: false,
        }
    }

    /// Sets the hint for a bad entry.
    #[must_use]
    pub(super) fn with_hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// Returns the path that errors name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the next entry without consuming it.
    pub(super) fn peek(&mut self) -> Option<&Result<Entry>> {
        if self.peeked.is_none() {
            self.peeked = Some(self.read_next());
        }
        self.peeked.as_ref().and_then(Option::as_ref)
    }

    /// Checks whether the file is one array, and the entry that was read last contains this text.
    pub(super) fn is_array_with(&self, what: &str) -> bool {
        let has = |text: &[u8]| text.windows(what.len()).any(|part| part == what.as_bytes());
        self.layout == Some(Layout::Array) && has(&self.text)
    }

    fn read_next(&mut self) -> Option<Result<Entry>> {
        if self.ended {
            return None;
        }
        let layout = match self.layout {
            Some(layout) => Ok(layout),
            None => self.begin(),
        };
        let read = layout.and_then(|layout| match layout {
            Layout::Lines => self.read_line(),
            Layout::Array => self.read_of_array(),
        });
        // The line after a bad line can be read; after a bad entry of an array it is unknown where the next one begins.
        self.ended = match &read {
            Ok(Some(_)) => false,
            Ok(None) => true,
            Err(_) => self.layout != Some(Layout::Lines) || !self.text.ends_with(b"\n"),
        };
        read.transpose()
    }

    fn begin(&mut self) -> Result<Layout> {
        let beginning = self.bytes.buffered()?;
        if let Some((kind, hint)) = foreign_kind(beginning) {
            return Err(Error::input(&self.path, format!("this is {kind}, not text"), hint));
        }
        if beginning.starts_with(BYTE_ORDER_MARK) {
            self.bytes.consume(BYTE_ORDER_MARK.len());
        }
        self.bytes.skip_white_space()?;
        let is_array = self.bytes.peek()? == Some(b'[');
        if is_array {
            self.bytes.consume(1);
        }
        Ok(*self.layout.insert(if is_array { Layout::Array } else { Layout::Lines }))
    }

    /// Reads the next line that is not blank.
    fn read_line(&mut self) -> Result<Option<Entry>> {
        loop {
            let line = self.bytes.line;
            self.text.clear();
            if !self.bytes.read_line(&mut self.text)? {
                return Ok(None);
            }
            let text = self.text_of_entry(line)?.trim();
            if text.is_empty() {
                continue;
            }
            if let Some(error) = table::refuse(text, line, &self.path) {
                return Err(error);
            }
            let torn_hint = (!self.text.ends_with(b"\n") && self.hint.is_none()).then_some(TORN_HINT);
            let hint = self.hint.unwrap_or(HINT);
            return Ok(Some((line, parse_json_line(text, line, &self.path, hint, torn_hint)?)));
        }
    }

    /// Reads the next entry of the array; `None` at the array's end.
    fn read_of_array(&mut self) -> Result<Option<Entry>> {
        self.bytes.skip_white_space()?;
        match (self.bytes.peek()?, self.begun) {
            (Some(b']'), _) => return self.end_array().map(|()| None),
            (Some(b','), true) => self.bytes.consume(1),
            (Some(_), true) => return Err(self.fault(self.bytes.line, "a comma or the end of the array is missing")),
            (None, _) => return Err(self.fault(self.bytes.line, "the end of the array is missing")),
            (Some(_), false) => {}
        }
        self.begun = true;
        self.bytes.skip_white_space()?;
        let line = self.bytes.line;
        self.text.clear();
        self.bytes.read_value(&mut self.text)?;
        if self.text.is_empty() {
            return Err(self.fault(line, "an entry or the end of the array is missing"));
        }
        let value = json::from_slice(self.text_of_entry(line)?.as_bytes())
            .map_err(|error| self.fault(line, &error.to_string()))?;
        Ok(Some((line, value)))
    }

    fn end_array(&mut self) -> Result<()> {
        self.bytes.consume(1);
        self.bytes.skip_white_space()?;
        match self.bytes.peek()? {
            None => Ok(()),
            Some(_) => Err(self.fault(self.bytes.line, "text after the end of the array")),
        }
    }

    fn text_of_entry(&self, line: usize) -> Result<&str> {
        std::str::from_utf8(&self.text).map_err(|error| {
            let before = self.bytes.offset - self.text.len() + error.valid_up_to();
            let more = self.text.iter().take(error.valid_up_to()).filter(|&&byte| byte == b'\n').count();
            let what = format!("byte {before} of the file is not UTF-8");
            Error::line(&self.path, line + more, what, "save the file as UTF-8, or check that it is a text file")
        })
    }

    fn fault(&self, line: usize, what: &str) -> Error {
        Error::line(&self.path, line, format!("not the JSON expected here: {what}"), self.hint.unwrap_or(HINT))
    }
}

impl<R: BufRead> Iterator for Entries<R> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.peeked.take().unwrap_or_else(|| self.read_next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::{BufReader, Read};

    /// Reads entries in pieces of three bytes, so that every value extends over several.
    fn read(text: &str) -> Vec<Result<Entry>> {
        Entries::new(BufReader::with_capacity(3, text.as_bytes()), Path::new("e.json")).collect()
    }

    fn values(text: &str) -> Vec<Entry> {
        read(text).into_iter().collect::<Result<_>>().unwrap()
    }

    #[test]
    fn arrays_and_lines_give_the_same_values_with_their_lines() {
        let expected = [json!({"a": "]},[\"\\", "b": [1, [2]]}), json!("x, \"y\""), json!(3)];
        let lines: Vec<String> = expected.iter().map(Value::to_string).collect();
        let at = |numbers: [usize; 3]| numbers.into_iter().zip(expected.clone()).collect::<Vec<_>>();
        assert_eq!(values(&lines.join("\n\r\n")), at([1, 3, 5]));
        assert_eq!(values(&format!("\u{feff}[{}]", lines.join(","))), at([1, 1, 1]));
        assert_eq!(values(&format!("\n[\n{}\n]\n", lines.join(" ,\n"))), at([3, 4, 5]));
        assert!(values("[ ]").is_empty() && values(" \n").is_empty());
    }

    #[test]
    fn what_comes_before_a_fault_is_read() {
        for (text, line, says) in [
            ("[{},\n{\"a\": 1", 2, "EOF while parsing"),
            ("[{}\n{}]", 2, "a comma or the end of the array is missing"),
            ("[{},\n]", 2, "an entry or the end of the array is missing"),
            ("[{}\n", 2, "the end of the array is missing"),
            ("[{}]\nmore", 2, "text after the end of the array"),
            ("[{},\n{\"a\": }]", 2, "expected value"),
            ("{}\n{\"a\": 1, \"a\": 2}", 2, "the field \"a\" is there twice"),
        ] {
            let read = read(text);
            assert!(read[0].is_ok(), "{text}");
            let error = read[1].as_ref().unwrap_err();
            assert!(error.to_string().starts_with(&format!("e.json:{line}: ")), "{error}");
            assert!(error.to_string().contains(says), "{error} should say {says}");
        }
    }

    #[test]
    fn of_an_entry_without_end_no_more_is_read_than_fits_into_memory() {
        for beginning in ["{\"a\":\"", "[{\"a\":\""] {
            let endless = beginning.as_bytes().chain(std::io::repeat(b'a'));
            let error = Entries::new(BufReader::new(endless), Path::new("e.json")).next().unwrap().unwrap_err();
            assert_eq!(error.to_string(), "e.json:1: an entry of more than 256 MB");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_located() {
        let bytes = b"{}\n{\"a\": \"caf\xe9\"}\n";
        let read: Vec<_> = Entries::new(bytes.as_slice(), Path::new("e.jsonl")).collect();
        let error = read[1].as_ref().unwrap_err();
        assert_eq!(error.to_string(), "e.jsonl:2: byte 13 of the file is not UTF-8");
        let compressed = Entries::new(b"\x1f\x8b\x08\0".as_slice(), Path::new("e.gz")).next().unwrap().unwrap_err();
        assert_eq!(compressed.to_string(), "e.gz: this is a file compressed by gzip, not text");
    }
}
