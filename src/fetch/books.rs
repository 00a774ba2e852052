//! Books of Project Gutenberg as plain text, to pretrain on.

use std::path::{Path, PathBuf};

use super::plain::PlainFile;
use super::{Fetched, Fetcher};
use crate::error::{Error, Result};
use crate::platform::files;

/// Novels in English that are in the public domain in the United States.
pub(super) const NOVELS: [(u32, &str); 10] = [
    (1342, "Pride and Prejudice, by Jane Austen"),
    (1260, "Jane Eyre, by Charlotte Brontë"),
    (768, "Wuthering Heights, by Emily Brontë"),
    (1400, "Great Expectations, by Charles Dickens"),
    (84, "Frankenstein, by Mary Shelley"),
    (2701, "Moby-Dick, by Herman Melville"),
    (345, "Dracula, by Bram Stoker"),
    (174, "The Picture of Dorian Gray, by Oscar Wilde"),
    (120, "Treasure Island, by Robert Louis Stevenson"),
    (36, "The War of the Worlds, by H. G. Wells"),
];

impl Fetcher {
    /// Fetches the book with this number.
    pub(super) fn fetch_book(&self, number: u32) -> Result<Fetched> {
        let title = NOVELS.iter().find(|(known, _)| *known == number).map_or("", |(_, title)| title);
        let title = format!("book {number} {title}").trim_end().to_string();
        let file = self.fetch_plain(&PlainFile {
            title: &title,
            destination: folder(&self.folders.own).join(format!("pg{number}.txt")),
            address: self.places.gutenberg.below(&format!("cache/epub/{number}/pg{number}.txt"))?,
            variable: "PREFTUNE_GUTENBERG",
            mirror: None,
            check,
            hint: &|status| match status {
                404 => {
                    format!("see whether book {number} exists and has plain text: www.gutenberg.org/ebooks/{number}")
                }
                _ => "PREFTUNE_GUTENBERG names a mirror; Project Gutenberg blocks clients that send too many requests"
                    .into(),
            },
        })?;
        Ok(Fetched::new(&format!("books {number}"), file.path.clone(), None, vec![file]))
    }

    /// Fetches the novels one after the other, into one folder.
    pub(super) fn fetch_novels(&self) -> Result<Fetched> {
        let fetched = NOVELS.iter().map(|(number, _)| self.fetch_book(*number)).collect::<Result<Vec<_>>>()?;
        let files = fetched.into_iter().flat_map(|book| book.files).collect();
        Ok(Fetched::new("books", folder(&self.folders.own), None, files))
    }
}

fn folder(own_cache: &Path) -> PathBuf {
    own_cache.join("books")
}

/// Checks that a file holds text, and not a web page that says why there is none.
fn check(file: &Path, address: &Path) -> Result<()> {
    let hint = "try again later, or a mirror with PREFTUNE_GUTENBERG";
    let text = String::from_utf8(files::read(file)?)
        .map_err(|_| Error::input(address, "the server sent something other than text in UTF-8", hint))?;
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let is_page = text.starts_with("<!") || text.to_ascii_lowercase().starts_with("<html");
    match text.is_empty() || is_page {
        true => Err(Error::input(address, "the server sent an empty file or a web page instead of text", hint)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_page_is_no_book() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("book");
        let fits = |text: &str| {
            std::fs::write(&path, text).unwrap();
            check(&path, Path::new("https://host/book")).is_ok()
        };
        assert!(fits("\u{feff}The Project Gutenberg eBook of Frankenstein"));
        for text in ["", "\u{feff}\r\n", "<!DOCTYPE html>", "\n<HTML lang=en>"] {
            assert!(!fits(text), "{text:?}");
        }
    }
}
