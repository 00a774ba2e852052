//! Targets of `preftune fetch`, as they are named on the command line.

use super::hub_name::HubName;
use super::label_files::{TASKS, Task};
use crate::error::{Error, Result};

/// One thing to fetch.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Name of the target on the command line.
    pub(super) name: String,
    pub(super) kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Model(HubName),
    Labels(&'static Task),
    /// The novels that `books` without a number stands for.
    Novels,
    Book(u32),
}

impl Target {
    /// Reads the targets from the words of a command line; numbers after `books` are books.
    ///
    /// # Errors
    /// [`Error::Usage`] for a word that names no target.
    pub fn parse_all(words: &[String]) -> Result<Vec<Self>> {
        let mut targets = Vec::new();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            if word != "books" {
                targets.push(Self { name: word.clone(), kind: parse(word)? });
                continue;
            }
            let before = targets.len();
            while let Some(number) = words.peek().and_then(|word| book_number(word)) {
                words.next();
                targets.push(Self { name: format!("books {number}"), kind: Kind::Book(number) });
            }
            if targets.len() == before {
                targets.push(Self { name: word.clone(), kind: Kind::Novels });
            }
        }
        Ok(targets)
    }
}

fn book_number(word: &str) -> Option<u32> {
    word.parse().ok().filter(|&number| number > 0)
}

fn parse(word: &str) -> Result<Kind> {
    if word.starts_with("labels/") {
        return Task::parse(word).map(Kind::Labels).ok_or_else(|| unknown(word));
    }
    HubName::parse(word).map(Kind::Model).ok_or_else(|| unknown(word))
}

fn unknown(word: &str) -> Error {
    if word.parse::<u64>().is_ok() {
        return Error::usage(
            format!("{word} is the number of a book: put `books` before it"),
            "for example: preftune fetch books 84",
        );
    }
    let labels = TASKS.iter().map(|task| format!("labels/{}", task.name));
    let known: Vec<_> = HubName::known().map(String::from).chain(labels).chain(["books".into()]).collect();
    let likeness = |name: &&String| (strsim::jaro_winkler(word, name) * 1e6) as u64;
    let similar = known.iter().max_by_key(likeness).filter(|name| likeness(name) > 850_000);
    let hint = match similar.filter(|_| word != "labels") {
        Some(similar) => format!("did you mean {similar}?"),
        None => format!("known targets: {}, and any OWNER/NAME[@REVISION] of the Hugging Face hub", known.join(", ")),
    };
    Error::usage(format!("{word:?} names nothing that can be fetched"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Vec<(String, Kind)>> {
        let words: Vec<String> = line.split(' ').map(String::from).collect();
        Ok(Target::parse_all(&words)?.into_iter().map(|target| (target.name, target.kind)).collect())
    }

    #[test]
    fn several_targets_stand_in_one_line() {
        let targets = parsed("gpt2 books 84 36 labels/tldr books a/b@c").unwrap();
        let names: Vec<_> = targets.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["gpt2", "books 84", "books 36", "labels/tldr", "books", "a/b@c"]);
        assert!(matches!(targets[2].1, Kind::Book(36)));
        assert!(matches!(targets[4].1, Kind::Novels));
    }

    #[test]
    fn what_is_unknown_is_named_with_what_it_may_mean() {
        for (line, hint) in [
            ("gtp2", "gpt2"),
            ("labels/sentimant", "labels/sentiment"),
            ("84", "books 84"),
            ("gpt2 zebra", "OWNER/NAME"),
            ("a/../b", "OWNER/NAME"),
        ] {
            let error = parsed(line).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.hint().contains(hint), "{line}: {}", error.hint());
        }
    }
}
