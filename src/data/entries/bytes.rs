//! The bytes of a file, read piece by piece, with their line and offset.

use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Size limit of one entry: a file without line ends, or without an end, would fill the memory.
const LARGEST_ENTRY_BYTES: usize = 256 << 20;

/// The rest of a file, with the line and offset where it begins.
pub(super) struct Bytes<R> {
    reader: R,
    path: PathBuf,
    /// Line number, from 1.
    pub(super) line: usize,
    pub(super) offset: usize,
}

impl<R: BufRead> Bytes<R> {
    pub(super) fn new(reader: R, path: &Path) -> Self {
        Self { reader, path: path.into(), line: 1, offset: 0 }
    }

    /// Returns the next bytes without consuming them; empty at the end of the file.
    pub(super) fn buffered(&mut self) -> Result<&[u8]> {
        self.reader.fill_buf().map_err(|source| Error::file("read", &self.path, source))
    }

    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        Ok(self.buffered()?.first().copied())
    }

    pub(super) fn consume(&mut self, count: usize) {
        self.reader.consume(count);
        self.offset += count;
    }

    pub(super) fn skip_white_space(&mut self) -> Result<()> {
        while let Some(byte) = self.peek()?.filter(|byte| b" \t\r\n".contains(byte)) {
            self.line += usize::from(byte == b'\n');
            self.consume(1);
        }
        Ok(())
    }

    /// Adds the next line with its end to `text`; false at the end of the file.
    pub(super) fn read_line(&mut self, text: &mut Vec<u8>) -> Result<bool> {
        let mut part = self.reader.by_ref().take(LARGEST_ENTRY_BYTES as u64);
        let read = part.read_until(b'\n', text).map_err(|source| Error::file("read", &self.path, source))?;
        self.refuse_if_endless(text, self.line)?;
        self.offset += read;
        self.line += usize::from(text.ends_with(b"\n"));
        Ok(read > 0)
    }

    fn refuse_if_endless(&self, entry: &[u8], first_line: usize) -> Result<()> {
        match entry.len() < LARGEST_ENTRY_BYTES {
            true => Ok(()),
            false => {
                let what = format!("an entry of more than {} MB", LARGEST_ENTRY_BYTES >> 20);
                let hint = "check that it is the right file; a line end, a bracket or a quote may be missing";
                Err(Error::line(&self.path, first_line, what, hint))
            }
        }
    }

    /// Adds the bytes of the next JSON value to `text`: up to the end of its brackets or quotes, or else up to
    /// the comma or bracket that ends an entry.
    pub(super) fn read_value(&mut self, text: &mut Vec<u8>) -> Result<()> {
        let (mut scan, first_line) = (Scan::default(), self.line);
        loop {
            let buffer = self.reader.fill_buf().map_err(|source| Error::file("read", &self.path, source))?;
            let mut taken = 0;
            let mut is_whole = buffer.is_empty();
            for &byte in buffer {
                let step = scan.step(byte);
                is_whole = step != Step::Inside;
                taken += usize::from(step != Step::Before);
                if is_whole {
                    break;
                }
            }
            let part = buffer.get(..taken).unwrap_or_default();
            self.line += part.iter().filter(|&&byte| byte == b'\n').count();
            text.extend_from_slice(part);
            self.refuse_if_endless(text, first_line)?;
            self.consume(taken);
            if is_whole {
                return Ok(());
            }
        }
    }
}

/// The state of reading a JSON value.
#[derive(Default)]
struct Scan {
    depth: usize,
    in_string: bool,
    is_escaped: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The value goes on after this byte.
    Inside,
    /// The value ends with this byte.
    Last,
    /// The value ended before this byte.
    Before,
}

impl Scan {
    fn step(&mut self, byte: u8) -> Step {
        if self.in_string {
            self.in_string = self.is_escaped || byte != b'"';
            self.is_escaped = byte == b'\\' && !self.is_escaped;
            return if self.in_string || self.depth > 0 { Step::Inside } else { Step::Last };
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return if self.depth > 0 { Step::Inside } else { Step::Last };
            }
            b',' | b']' if self.depth == 0 => return Step::Before,
            _ => {}
        }
        Step::Inside
    }
}
