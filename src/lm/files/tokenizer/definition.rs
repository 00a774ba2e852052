//! A tokenizer as its files define it: checked as a whole, then built.
//!
//! The library trusts its input: it forgets one of two tokens with the same id, drops bytes without a token,
//! numbers added tokens itself, and panics on some merges. It gets nothing that was not checked here.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use tokenizers::models::bpe::BpeBuilder;
use tokenizers::{
    AddedToken, DecoderWrapper, OffsetReferential, OffsetType, PostProcessorWrapper, PreTokenizedString, PreTokenizer,
    Tokenizer as HuggingFaceTokenizer,
};

use super::quiet_panics::caught;
use super::spelling::Spelling;
use super::splitting::Splitting;
use crate::lm::files::messages::shown;

/// Largest size of a token, in bytes.
const LONGEST_TOKEN: usize = 4096;

/// Largest size of all added tokens together, in bytes: the automaton that finds them takes some hundred times
/// as many.
const ADDED_BYTES: usize = 256 * 1024;

/// Contents of a tokenizer's files.
pub(super) struct Definition<'a> {
    pub vocabulary: Vec<(Cow<'a, str>, u32)>,
    /// Pairs of tokens, in order of rank.
    pub merges: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Tokens that are looked for before the text is split, with their ids.
    pub added: Vec<(AddedToken, u32)>,
    pub splitting: Splitting,
    pub decoder: DecoderWrapper,
    pub post_processor: Option<PostProcessorWrapper>,
    /// Tokens that `transformers` puts before every text.
    pub start: Vec<String>,
    /// True if a piece that is a token of the vocabulary needs no merges.
    pub ignores_merges: bool,
    /// BPE with the settings that change nothing here.
    pub model: BpeBuilder,
}

/// Fault of a definition, by the file that states it.
#[derive(Debug)]
pub(super) enum Fault {
    Vocabulary(String),
    /// Fault of the merge with this index.
    Merge(usize, String),
    Added(String),
}

type Checked<T> = Result<T, Fault>;

/// Tokenizer of the library, and what it does not say of itself.
pub(super) struct Built {
    pub inner: HuggingFaceTokenizer,
    /// `inner` without a space before text, if `inner` adds one.
    pub continuing: Option<HuggingFaceTokenizer>,
    pub spelling: Spelling,
    /// Tokens before every text.
    pub start: Vec<u32>,
}

impl Definition<'_> {
    /// Checks the definition and builds the library's tokenizer.
    pub(super) fn build(mut self) -> Checked<Built> {
        // A token that is not in the vocabulary gets the next free id, in this order.
        self.added.sort_by_key(|(_, id)| *id);
        let ids = self.checked_vocabulary()?;
        let made = self.checked_merges(&ids)?;
        self.check_added(&ids)?;
        self.check_that_merges_are_complete(&made)?;
        let refused = |reason: String| Fault::Vocabulary(format!("the tokenizers library refuses it: {reason}"));
        let start = self.start_ids(&ids)?;
        match caught(|| self.assembled(start)) {
            Some(built) => built.map_err(|error| refused(error.to_string())),
            None => Err(refused("it panicked".into())),
        }
    }

    /// Returns the ids of the tokens before every text.
    fn start_ids(&self, ids: &HashMap<&str, u32>) -> Checked<Vec<u32>> {
        let id_of = |token: &String| {
            let added = self.added.iter().find(|(added, _)| added.content == *token).map(|(_, id)| *id);
            let id = added.or_else(|| ids.get(token.as_str()).copied());
            id.ok_or_else(|| Fault::Added(format!("token {}, which begins every text, is unknown", shown(token))))
        };
        self.start.iter().map(id_of).collect()
    }

    fn assembled(self, start: Vec<u32>) -> tokenizers::Result<Built> {
        let vocabulary: tokenizers::models::bpe::Vocab =
            self.vocabulary.into_iter().map(|(token, id)| (token.into_owned(), id)).collect();
        let merges = self.merges.into_iter().map(|(left, right)| (left.into_owned(), right.into_owned())).collect();
        let mut inner = HuggingFaceTokenizer::new(self.model.vocab_and_merges(vocabulary, merges).build()?);
        inner.with_normalizer(self.splitting.normalizer())?;
        inner.with_pre_tokenizer(self.splitting.pre_tokenizer());
        inner.with_decoder(Some(self.decoder));
        inner.with_post_processor(self.post_processor);
        inner.add_tokens(self.added.into_iter().map(|(token, _)| token))?;
        let continuing = self.splitting.adds_space().then(|| {
            let splitting = self.splitting.clone().without_added_space();
            let mut continuing = inner.clone();
            continuing.with_normalizer(splitting.normalizer())?;
            continuing.with_pre_tokenizer(splitting.pre_tokenizer());
            Ok::<_, tokenizers::Error>(continuing)
        });
        let continuing = continuing.transpose()?;
        Ok(Built { inner, continuing, spelling: self.splitting.spelling, start })
    }

    /// Checks that tokens and ids are unique, that ids have no gaps, and that every common byte has a token; returns
    /// the ids by token.
    fn checked_vocabulary(&self) -> Checked<HashMap<&str, u32>> {
        let fault = |what: String| Err(Fault::Vocabulary(what));
        let mut ids = HashMap::with_capacity(self.vocabulary.len());
        let mut by_id: Vec<Option<&str>> = vec![None; self.vocabulary.len()];
        for (token, id) in &self.vocabulary {
            if let Some(what) = unusable(token) {
                return fault(what);
            }
            if let Some(other) = ids.insert(token.as_ref(), *id) {
                return fault(format!("token {} is there twice, with the ids {other} and {id}", shown(token)));
            }
            match by_id.get_mut(*id as usize) {
                Some(Some(other)) => {
                    return fault(format!("tokens {} and {} have the same id, {id}", shown(other), shown(token)));
                }
                Some(place) => *place = Some(token),
                None => {}
            }
        }
        let spelling = self.splitting.spelling;
        let mut needed = (0..=255).filter(|&byte| spelling == Spelling::SpaceMark || is_common(byte));
        if let Some(byte) = needed.find(|&byte| !ids.contains_key(spelling.token_of_byte(byte).as_str())) {
            let what = format!("no token for byte {byte:#04x} ({:?})", spelling.token_of_byte(byte));
            return fault(format!("{what}: text with it could not be read"));
        }
        if let Some(gap) = by_id.iter().position(Option::is_none) {
            let last = self.vocabulary.iter().max_by_key(|(_, id)| *id);
            let last = last.map(|(token, id)| format!("{}, has {id}", shown(token))).unwrap_or_default();
            return fault(format!("no token has id {gap}, although the last, {last}"));
        }
        Ok(ids)
    }

    /// Checks the merges; returns the tokens that are a byte or made by a merge.
    fn checked_merges(&self, ids: &HashMap<&str, u32>) -> Checked<HashSet<String>> {
        let spelling = self.splitting.spelling;
        let smallest = ids.keys().filter(|token| spelling.is_smallest(token));
        let mut made: HashSet<String> = smallest.map(|token| token.to_string()).collect();
        // Where merges are ranked by other means than the order in which they were learnt, a part may be made later.
        let is_ordered = spelling == Spelling::ByteLevel && !self.ignores_merges;
        let mut seen = HashSet::with_capacity(self.merges.len());
        for (index, (left, right)) in self.merges.iter().enumerate() {
            let fault = |what: String| Err(Fault::Merge(index, what));
            let union = format!("{left}{right}");
            let pair = || shown(&format!("{left} {right}"));
            if [left, right, union.as_str()].iter().any(|token| !ids.contains_key(token)) {
                return fault(format!("not a merge of the vocabulary: {}", pair()));
            }
            if let Some(part) = [left, right].into_iter().find(|token| is_ordered && !made.contains(token.as_ref())) {
                return fault(format!("not in the order of rank: {} comes before {} is made", pair(), shown(part)));
            }
            if !seen.insert((ids.get(left.as_ref()), ids.get(right.as_ref()))) {
                return fault(format!("the same merge for the second time: {}", pair()));
            }
            made.insert(union);
        }
        Ok(made)
    }

    /// Checks whether an added token is in the vocabulary as the spelling of other bytes.
    fn has_other_bytes(&self, content: &str) -> bool {
        let spelling = self.splitting.spelling;
        spelling == Spelling::ByteLevel && spelling.bytes(content).is_some_and(|bytes| bytes != content.as_bytes())
    }

    fn check_added(&self, ids: &HashMap<&str, u32>) -> Checked<()> {
        let mut next = self.vocabulary.len();
        let mut seen = HashSet::new();
        for (token, id) in &self.added {
            let content = token.content.as_str();
            let fault = |what: String| Err(Fault::Added(format!("added token {} {what}", shown(content))));
            if let Some(what) = unusable(content) {
                return Err(Fault::Added(what));
            }
            if !seen.insert(content) {
                return fault("is there twice".into());
            }
            match ids.get(content) {
                Some(known) if known != id => return fault(format!("has id {id}, but {known} in the vocabulary")),
                Some(_) if self.has_other_bytes(content) => {
                    return fault(format!(
                        "has the id of other bytes, {id}, so text with it would not decode to itself"
                    ));
                }
                Some(_) => {}
                None if *id as usize != next => return fault(format!("has id {id}, but the next free one is {next}")),
                None => next += 1,
            }
        }
        let total: usize = self.added.iter().map(|(token, _)| token.content.len()).sum();
        match total > ADDED_BYTES {
            true => Err(Fault::Added(format!("the added tokens have {total} bytes; at most {ADDED_BYTES} are read"))),
            false => Ok(()),
        }
    }

    /// Checks that merges make each token that text could have: an incomplete list of merges gives other tokens
    /// for the same text. Tokens that no piece of text can hold, such as `<s>`, need no merge.
    fn check_that_merges_are_complete(&self, made: &HashSet<String>) -> Checked<()> {
        if self.ignores_merges {
            return Ok(());
        }
        let added: HashSet<&str> = self.added.iter().map(|(token, _)| token.content.as_str()).collect();
        let is_made = |token: &str| made.contains(token) || added.contains(token);
        let mut unmade: Vec<_> = self.vocabulary.iter().filter(|(token, _)| !is_made(token)).collect();
        unmade.sort_by_key(|(_, id)| *id);
        match unmade.iter().find(|(token, _)| self.is_within_a_piece(token)) {
            Some((token, id)) => Err(Fault::Vocabulary(format!(
                "merges are missing: none of the {} makes token {} (id {id}), and {} of {} tokens are not made",
                self.merges.len(),
                shown(token),
                unmade.len(),
                self.vocabulary.len(),
            ))),
            None => Ok(()),
        }
    }

    /// Checks whether the pieces that text is split into before merging can hold this token.
    fn is_within_a_piece(&self, token: &str) -> bool {
        let Some(bytes) = self.splitting.spelling.bytes(token) else { return false };
        let Ok(text) = std::str::from_utf8(&bytes) else { return true };
        let mut pieces = PreTokenizedString::from(text);
        let splitting = self.splitting.clone().without_added_space();
        let Some(pre_tokenizer) = splitting.pre_tokenizer() else { return !text.starts_with('<') };
        let split = pre_tokenizer.pre_tokenize(&mut pieces);
        split.is_err() || pieces.get_splits(OffsetReferential::Original, OffsetType::None).len() < 2
    }
}

/// Checks whether a byte is in ordinary text: a vocabulary may lack the others, which are control characters, and
/// bytes of which UTF-8 has few or none.
fn is_common(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\t' | b'\r' | 0x80..=0xbf | 0xc2..=0xf0)
}

fn unusable(token: &str) -> Option<String> {
    match token.len() {
        0 => Some("a token has no text".into()),
        1..=LONGEST_TOKEN => None,
        length => Some(format!("token {} has {length} bytes; at most {LONGEST_TOKEN} are read", shown(token))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::byte_characters::character;
    use super::*;
    use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
    use tokenizers::models::bpe::BPE;

    /// Returns the bytes, "he", "the", "ther", "<s>" and " the", in this order, and the end of text.
    fn whole() -> Definition<'static> {
        let bytes = (0..=255).map(|byte| character(byte).to_string());
        let made = ["he", "the", "ther", "<s>", "Ġthe", "<|endoftext|>"].map(String::from);
        let pairs = [("h", "e"), ("t", "he"), ("the", "r"), ("Ġ", "the")];
        Definition {
            vocabulary: bytes.chain(made).zip(0..).map(|(token, id)| (token.into(), id)).collect(),
            merges: pairs.into_iter().map(|(left, right)| (left.into(), right.into())).collect(),
            added: vec![(AddedToken::from("<|endoftext|>", true), 261)],
            splitting: Splitting::gpt2(),
            decoder: ByteLevelDecoder::default().into(),
            post_processor: None,
            start: Vec::new(),
            ignores_merges: false,
            model: BPE::builder(),
        }
    }

    fn refusal(change: impl FnOnce(&mut Definition<'static>)) -> String {
        let mut definition = whole();
        change(&mut definition);
        match definition.build().err().unwrap() {
            Fault::Vocabulary(what) | Fault::Added(what) => what,
            Fault::Merge(index, what) => format!("{index}: {what}"),
        }
    }

    #[test]
    fn a_whole_definition_is_built() {
        let built = whole().build().ok().unwrap().inner;
        assert_eq!(built.encode("there the<|endoftext|>", false).unwrap().get_ids(), [258, 101, 260, 261]);
    }

    #[test]
    fn two_tokens_with_one_id_are_both_named() {
        let what = refusal(|whole| whole.vocabulary.push(("ee".into(), 5)));
        assert_eq!(what, format!("tokens {:?} and \"ee\" have the same id, 5", character(5)).replace('\'', "\""));
        assert!(refusal(|whole| whole.vocabulary.push(("he".into(), 262))).contains("\"he\" is there twice"));
    }

    #[test]
    fn ids_without_a_token_are_named() {
        let what = refusal(|whole| whole.vocabulary.push(("<x>".into(), 300)));
        assert_eq!(what, "no token has id 262, although the last, \"<x>\", has 300");
    }

    #[test]
    fn a_byte_without_a_token_is_named() {
        let what = refusal(|whole| {
            whole.vocabulary.iter_mut().for_each(|(token, _)| {
                if token == "z" {
                    *token = "<z>".into();
                }
            })
        });
        assert_eq!(what, "no token for byte 0x7a (\"z\"): text with it could not be read");
    }

    #[test]
    fn merges_that_are_cut_are_noticed() {
        let what = refusal(|whole| whole.merges.truncate(2));
        assert_eq!(
            what,
            "merges are missing: none of the 2 makes token \"ther\" (id 258), and 3 of 262 tokens are not made"
        );
        assert!(refusal(|whole| whole.merges.clear()).contains("none of the 0 makes token \"he\" (id 256)"));
    }

    #[test]
    fn merges_that_contradict_the_vocabulary_or_each_other_are_noticed() {
        assert_eq!(
            refusal(|whole| whole.merges.push(("z".into(), "z".into()))),
            "4: not a merge of the vocabulary: \"z z\""
        );
        assert_eq!(
            refusal(|whole| whole.merges.push(("h".into(), "e".into()))),
            "4: the same merge for the second time: \"h e\""
        );
        let what = refusal(|whole| whole.merges.swap(0, 2));
        assert_eq!(what, "0: not in the order of rank: \"the r\" comes before \"the\" is made");
    }

    /// Added tokens to which the library would give another id, or whose text it would lose.
    #[test]
    fn added_tokens_that_contradict_the_vocabulary_are_noticed() {
        let add =
            |content: &'static str, id| refusal(move |whole| whole.added.push((AddedToken::from(content, true), id)));
        assert_eq!(add("the", 4), "added token \"the\" has id 4, but 257 in the vocabulary");
        assert_eq!(add("<x>", 270), "added token \"<x>\" has id 270, but the next free one is 262");
        assert_eq!(add("<|endoftext|>", 261), "added token \"<|endoftext|>\" is there twice");
        assert_eq!(add("", 262), "a token has no text");
        assert_eq!(
            add("Ġthe", 260),
            "added token \"Ġthe\" has the id of other bytes, 260, so text with it would not decode to itself"
        );
    }

    #[test]
    fn sizes_that_would_fill_memory_are_refused() {
        let long = "x".repeat(LONGEST_TOKEN + 1);
        let what = refusal(|whole| whole.vocabulary.push((long.clone().into(), 262)));
        assert!(what.contains("has 4097 bytes; at most 4096") && what.len() < 200, "{what}");
        let many = (0..).map(|number| format!("{number:x>4000}")).take(66);
        let what =
            refusal(|whole| whole.added.extend(many.zip(262..).map(|(text, id)| (AddedToken::from(text, true), id))));
        assert!(what.starts_with("the added tokens have 264013 bytes"), "{what}");
    }

    /// `<s>` is in no piece that GPT-2's pattern makes; without the pattern, the merges must make it.
    #[test]
    fn a_token_that_text_can_have_must_be_made() {
        assert!(
            refusal(|whole| {
                let step = serde_json::json!({
                    "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false
                });
                whole.splitting = Splitting::read(&serde_json::Value::Null, &step).unwrap();
            })
            .contains("makes token \"<s>\" (id 259)")
        );
    }
}
