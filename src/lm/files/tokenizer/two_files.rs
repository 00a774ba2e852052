//! GPT-2's older two files: `vocab.json` and `merges.txt`.

use std::borrow::Cow;
use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::bpe::BPE;

use super::FileContent;
use super::definition::Definition;
use super::splitting::Splitting;
use super::vocabulary_json::{MOST_MERGES, TokenIds, halves};
use crate::error::{Error, Result};
use crate::lm::files::messages::{reason, shown};

pub(super) const HINT: &str = "take vocab.json and merges.txt that came with the model";

pub(super) const MERGES_HINT: &str =
    "each line is two tokens with a space between, both and their union in vocab.json; take the file whole";

/// A merge, and its line.
struct Merge<'a> {
    pair: (Cow<'a, str>, Cow<'a, str>),
    line: usize,
}

/// Reads the definition in the two files, and the line of each merge.
///
/// # Errors
/// [`Error::Input`] when the vocabulary is not a map of tokens to ids, or a line is not two tokens.
pub(super) fn parse<'a>(vocabulary: FileContent<'a>, merges: FileContent<'a>) -> Result<(Definition<'a>, Vec<usize>)> {
    let TokenIds(vocabulary) = serde_json::from_slice(vocabulary.bytes)
        .map_err(|error| Error::input(vocabulary.path, format!("not a vocabulary: {}", reason(&error)), HINT))?;
    let merges = parse_merges(merges.bytes, merges.path)?;
    let (merges, lines) = merges.into_iter().map(|merge| (merge.pair, merge.line)).unzip();
    let definition = Definition {
        vocabulary,
        merges,
        added: Vec::new(),
        splitting: Splitting::gpt2(),
        decoder: ByteLevelDecoder::default().into(),
        post_processor: None,
        start: Vec::new(),
        ignores_merges: false,
        model: BPE::builder(),
    };
    Ok((definition, lines))
}

/// Reads the merges. The first line may name a version; empty lines are skipped.
fn parse_merges<'a>(bytes: &'a [u8], path: &Path) -> Result<Vec<Merge<'a>>> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| Error::input(path, format!("not UTF-8: {error}"), MERGES_HINT))?;
    let says_nothing = |line: usize, text: &str| text.is_empty() || (line == 1 && text.starts_with("#version"));
    let lines = (1..).zip(text.lines()).filter(|&(line, text)| !says_nothing(line, text));
    let merge = |(line, text): (usize, &'a str)| match halves(text) {
        Some((left, right)) => Ok(Merge { pair: (left.into(), right.into()), line }),
        None => Err(Error::line(path, line, format!("not a merge of two tokens: {}", shown(text)), MERGES_HINT)),
    };
    let merges: Vec<_> = lines.map(merge).take(MOST_MERGES + 1).collect::<Result<_>>()?;
    match merges.len() > MOST_MERGES {
        true => Err(Error::input(path, format!("there are more than {MOST_MERGES} merges"), HINT)),
        false => Ok(merges),
    }
}
