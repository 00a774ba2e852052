//! Text to token ids and back: GPT-2's byte-level BPE, trained here or loaded.

use std::path::Path;

use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder, Vocab};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as HuggingFaceTokenizer};

use crate::error::{Error, Result};

/// Marks the border between documents in training, as in GPT-2.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// A tokenizer with the vocabulary of one model.
#[derive(Clone)]
pub struct Tokenizer {
    inner: HuggingFaceTokenizer,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} tokens)", self.vocab_size())
    }
}

impl Tokenizer {
    /// Reads a `tokenizer.json`; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] when it is not one.
    pub fn from_json(bytes: &[u8], path: &Path) -> Result<Self> {
        // The library indexes past its buffers on some malformed merges (tokenizers issue 2094).
        let parsed = std::panic::catch_unwind(|| HuggingFaceTokenizer::from_bytes(bytes));
        let reason = match parsed {
            Ok(Ok(inner)) => return Ok(Self { inner: of_whole_texts(inner) }),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "its merges contradict its vocabulary".to_string(),
        };
        let hint = "take the tokenizer.json that came with the model";
        Err(Error::input(path, format!("not a tokenizer: {reason}"), hint))
    }

    /// Builds GPT-2's byte-level BPE from its older two files, `vocab.json` and `merges.txt`, each
    /// with the path that is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] when the vocabulary is not a map of tokens to ids, a line is not a merge, or
    /// a merge makes a token that the vocabulary does not have.
    pub fn from_vocabulary_and_merges(
        (vocabulary, vocabulary_path): (&[u8], &Path),
        (merges, merges_path): (&[u8], &Path),
    ) -> Result<Self> {
        let hint = "take vocab.json and merges.txt that came with the model";
        let vocabulary: Vocab = serde_json::from_slice(vocabulary)
            .map_err(|error| Error::input(vocabulary_path, format!("not a vocabulary: {error}"), hint))?;
        let merges = parse_merges(merges, merges_path, &vocabulary)?;
        let model = BPE::builder().vocab_and_merges(vocabulary, merges).build();
        let model = model.map_err(|error| Error::input(merges_path, format!("not merges: {error}"), hint))?;
        let mut inner = byte_level(model);
        if inner.token_to_id(END_OF_TEXT).is_some() {
            inner
                .add_special_tokens([AddedToken::from(END_OF_TEXT, true)])
                .map_err(|error| Error::input(vocabulary_path, format!("not a vocabulary: {error}"), hint))?;
        }
        Ok(Self { inner })
    }

    /// The `tokenizer.json` of this tokenizer.
    ///
    /// # Errors
    /// [`Error::Failed`] if it cannot be expressed as JSON.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|e| Error::failed(format!("the tokenizer cannot be written: {e}"), ""))
    }

    /// Learns a byte-level BPE of `vocab_size` tokens; [`END_OF_TEXT`] is token 0.
    ///
    /// # Errors
    /// [`Error::Failed`] when the texts are too short for a vocabulary of that size.
    pub fn train<'a>(texts: impl Iterator<Item = &'a str> + Send, vocab_size: usize) -> Result<Self> {
        let mut trainer = TrainerWrapper::BpeTrainer(
            BpeTrainerBuilder::new()
                .vocab_size(vocab_size)
                .min_frequency(2)
                .show_progress(false)
                .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
                .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
                .build(),
        );
        let mut inner = byte_level(BPE::default());
        inner
            .train(&mut trainer, texts)
            .map_err(|e| Error::failed(format!("the tokenizer could not be trained: {e}"), "give more text"))?;
        Ok(Self { inner })
    }

    /// Tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The token with the highest id, and that id: a vocabulary may have gaps.
    pub fn last_token(&self) -> Option<(String, u32)> {
        self.inner.get_vocab(true).into_iter().max_by_key(|(_, id)| *id)
    }

    /// Whether both turn every text into the same ids.
    pub fn is_same_as(&self, other: &Self) -> bool {
        matches!((self.to_json(), other.to_json()), (Ok(ours), Ok(theirs)) if ours == theirs)
    }

    /// Text to ids; every byte has a token, so nothing is unknown.
    ///
    /// # Errors
    /// [`Error::Failed`] when the tokenizer file defines steps that fail on this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false);
        encoding.map(|e| e.get_ids().to_vec()).map_err(|e| Error::failed(format!("text cannot be tokenized: {e}"), ""))
    }

    /// Ids to text; a character cut in the middle becomes U+FFFD.
    ///
    /// # Errors
    /// [`Error::Failed`] as for [`Self::encode`].
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(|e| Error::failed(format!("tokens cannot be decoded: {e}"), ""))
    }

    /// The id of a text that is one token, such as `.` or a line break.
    pub fn token(&self, text: &str) -> Option<u32> {
        match self.encode(text).ok()?.as_slice() {
            [id] => Some(*id),
            _ => None,
        }
    }
}

/// Without the truncation and padding that a `tokenizer.json` may bring along: lengths are the
/// task's.
fn of_whole_texts(mut inner: HuggingFaceTokenizer) -> HuggingFaceTokenizer {
    inner.with_padding(None);
    // Cannot fail: only a length and a stride that contradict each other are refused.
    inner.with_truncation(None).ok();
    inner
}

/// GPT-2's way with bytes around a BPE.
fn byte_level(model: BPE) -> HuggingFaceTokenizer {
    let mut inner = HuggingFaceTokenizer::new(model);
    inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    inner.with_decoder(Some(ByteLevelDecoder::default()));
    inner
}

/// The pairs of `merges.txt`, in order of rank. Checked here, because the library indexes past its
/// buffers when a merge contradicts the vocabulary (tokenizers issue 2094).
fn parse_merges(bytes: &[u8], path: &Path, vocabulary: &Vocab) -> Result<Vec<(String, String)>> {
    let hint = "each line is two tokens with a space between, both and their union in vocab.json";
    let text = std::str::from_utf8(bytes).map_err(|error| Error::input(path, format!("not UTF-8: {error}"), hint))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"));
    let parse = |(number, line): (usize, &str)| {
        let known = |token: &str| vocabulary.contains_key(token);
        match line.split_once(' ') {
            Some((left, right)) if known(left) && known(right) && known(&format!("{left}{right}")) => {
                Ok((left.to_string(), right.to_string()))
            }
            _ => Err(Error::line(path, number, format!("not a merge of the vocabulary: {line:?}"), hint)),
        }
    };
    lines.map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::TruncationParams;

    fn trained() -> Tokenizer {
        let text = "The old house stood by the sea. The sea was grey, and the house was old. ".repeat(20);
        Tokenizer::train(std::iter::once(text.as_str()), 300).unwrap()
    }

    #[test]
    fn every_text_comes_back_as_it_was() {
        let tokenizer = trained();
        for text in ["The sea.", " two  spaces\n\nand lines", "“Çédille” — 漢字 🐱", ""] {
            assert_eq!(tokenizer.decode(&tokenizer.encode(text).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn the_end_of_text_is_one_token_and_a_period_another() {
        let tokenizer = trained();
        assert_eq!(tokenizer.encode(END_OF_TEXT).unwrap(), [0]);
        assert_eq!(tokenizer.encode("sea.").unwrap().last().copied(), tokenizer.token("."));
        assert!(tokenizer.token("\n").is_some() && tokenizer.token("no one token").is_none());
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_refused() {
        let error = Tokenizer::from_json(b"{\"model\": 3}", Path::new("x/tokenizer.json")).unwrap_err();
        assert!(error.to_string().starts_with("x/tokenizer.json: not a tokenizer"), "{error}");
    }

    /// The two older files of a tokenizer, as its `tokenizer.json` holds them.
    fn vocabulary_and_merges(tokenizer: &Tokenizer) -> (Vec<u8>, String) {
        let json: serde_json::Value = serde_json::from_str(&tokenizer.to_json().unwrap()).unwrap();
        let pair =
            |merge: &serde_json::Value| format!("{} {}\n", merge[0].as_str().unwrap(), merge[1].as_str().unwrap());
        let merges: String = json["model"]["merges"].as_array().unwrap().iter().map(pair).collect();
        (serde_json::to_vec(&json["model"]["vocab"]).unwrap(), format!("#version: 0.2\n{merges}"))
    }

    fn from_two_files(vocabulary: &[u8], merges: &str) -> Result<Tokenizer> {
        let paths = [Path::new("vocab.json"), Path::new("merges.txt")];
        Tokenizer::from_vocabulary_and_merges((vocabulary, paths[0]), (merges.as_bytes(), paths[1]))
    }

    #[test]
    fn the_older_two_files_make_the_same_tokenizer() {
        let tokenizer = trained();
        let (vocabulary, merges) = vocabulary_and_merges(&tokenizer);
        let two_files = from_two_files(&vocabulary, &merges).unwrap();
        for text in ["The sea.", " two  spaces\n\nand lines", "“Çédille” — 漢字 🐱", "<|endoftext|>x", ""] {
            let ids = two_files.encode(text).unwrap();
            assert_eq!(ids, tokenizer.encode(text).unwrap(), "{text}");
            assert_eq!(two_files.decode(&ids).unwrap(), text);
        }
        let json = two_files.to_json().unwrap();
        assert!(Tokenizer::from_json(json.as_bytes(), Path::new("t")).unwrap().is_same_as(&two_files));
    }

    #[test]
    fn a_merge_that_contradicts_the_vocabulary_is_named_with_its_line() {
        let (vocabulary, merges) = vocabulary_and_merges(&trained());
        let error = from_two_files(&vocabulary, &format!("{merges}zq zq\n")).unwrap_err();
        let line = merges.lines().count() + 1;
        assert_eq!(error.to_string(), format!("merges.txt:{line}: not a merge of the vocabulary: \"zq zq\""));
        assert!(from_two_files(&vocabulary, "a b c\n").is_err());
        assert!(from_two_files(b"[1, 2]", &merges).unwrap_err().to_string().starts_with("vocab.json: not a vocab"));
    }

    #[test]
    fn texts_are_read_whole_whatever_length_a_tokenizer_was_saved_with() {
        let mut short = trained().inner;
        short.with_truncation(Some(TruncationParams { max_length: 3, ..TruncationParams::default() })).unwrap();
        let json = short.to_string(false).unwrap();
        let read = Tokenizer::from_json(json.as_bytes(), Path::new("t")).unwrap();
        assert_eq!(read.encode("The sea was grey.").unwrap(), trained().encode("The sea was grey.").unwrap());
    }

    #[test]
    fn a_written_tokenizer_reads_back_the_same() {
        let tokenizer = trained();
        let json = tokenizer.to_json().unwrap();
        let again = Tokenizer::from_json(json.as_bytes(), Path::new("t")).unwrap();
        assert_eq!(again.encode("the old sea").unwrap(), tokenizer.encode("the old sea").unwrap());
    }
}
