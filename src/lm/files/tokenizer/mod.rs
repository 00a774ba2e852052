//! Text to token ids and back: GPT-2's byte-level BPE, trained here or loaded.

mod byte_characters;
mod definition;
mod json_file;
mod quiet_panics;
mod settings;
#[cfg(test)]
mod tests;
mod two_files;
mod vocabulary_json;

use std::path::Path;
use std::sync::Arc;

use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model, Tokenizer as HuggingFaceTokenizer};

use crate::error::{Error, Result};
use definition::Fault;
pub(crate) use settings::TokenizerSettings;
pub use settings::{ADDED_TOKENS_FILE, SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE};

/// Token that marks the border between documents in training, as in GPT-2.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// A tokenizer with the vocabulary of one model.
#[derive(Clone)]
pub struct Tokenizer {
    inner: HuggingFaceTokenizer,
    /// `inner` without a space before text, if `inner` adds one.
    continuing: Option<HuggingFaceTokenizer>,
    /// The bytes of each token, by id.
    texts: Arc<[Vec<u8>]>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} tokens)", self.vocab_size())
    }
}

/// The content of a file, and the path that is named in errors.
#[derive(Debug, Clone, Copy)]
pub struct FileContent<'a> {
    pub bytes: &'a [u8],
    pub path: &'a Path,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`; `path` is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] when the file is not a tokenizer, or has a part that is not understood or contradicts
    /// another.
    pub fn from_json(bytes: &[u8], path: &Path) -> Result<Self> {
        Self::from_json_and_settings(bytes, path, TokenizerSettings::default())
    }

    pub(super) fn from_json_and_settings(bytes: &[u8], path: &Path, settings: TokenizerSettings) -> Result<Self> {
        let hint = "this program reads GPT-2's byte-level BPE; take the tokenizer.json that came with the model";
        let refused = |what: String| Error::input(path, what, hint);
        let mut definition = json_file::parse(bytes).map_err(refused)?;
        settings.apply(&mut definition)?;
        let built = definition.build().map_err(|fault| match fault {
            Fault::Vocabulary(what) | Fault::Added(what) => refused(what),
            Fault::Merge(index, what) => refused(format!("merge {}: {what}", index + 1)),
        });
        Ok(Self::new(built?))
    }

    /// Builds GPT-2's byte-level BPE from its older two files, `vocab.json` and `merges.txt`, each
    /// with the path that is named in errors.
    ///
    /// # Errors
    /// [`Error::Input`] when the vocabulary is not a map of tokens to ids, a line is not a merge, or
    /// the two contradict each other.
    pub fn from_vocabulary_and_merges(vocabulary: FileContent<'_>, merges: FileContent<'_>) -> Result<Self> {
        Self::from_two_files_and_settings(vocabulary, merges, TokenizerSettings::default())
    }

    pub(super) fn from_two_files_and_settings(
        vocabulary: FileContent<'_>,
        merges: FileContent<'_>,
        settings: TokenizerSettings,
    ) -> Result<Self> {
        let (mut definition, lines) = two_files::parse(vocabulary, merges)?;
        settings.complete(&mut definition)?;
        let built = definition.build().map_err(|fault| match fault {
            Fault::Vocabulary(what) | Fault::Added(what) => Error::input(vocabulary.path, what, two_files::HINT),
            Fault::Merge(index, what) => {
                let line = lines.get(index).copied().unwrap_or_default();
                Error::line(merges.path, line, what, two_files::MERGES_HINT)
            }
        });
        Ok(Self::new(built?))
    }

    fn new(inner: HuggingFaceTokenizer) -> Self {
        let continuing = match inner.get_pre_tokenizer() {
            Some(PreTokenizerWrapper::ByteLevel(step)) if step.add_prefix_space => {
                let step = step.add_prefix_space(false);
                let mut continuing = inner.clone();
                continuing.with_pre_tokenizer(Some(step));
                Some(continuing)
            }
            _ => None,
        };
        let texts = texts_by_id(&inner).into();
        Self { inner, continuing, texts }
    }

    /// Returns the `tokenizer.json` of this tokenizer.
    ///
    /// # Errors
    /// [`Error::Failed`] if the tokenizer cannot be expressed as JSON.
    pub fn to_json(&self) -> Result<String> {
        self.inner.to_string(false).map_err(|e| Error::failed(format!("the tokenizer cannot be written: {e}"), ""))
    }

    /// Trains a byte-level BPE of `vocab_size` tokens; [`END_OF_TEXT`] is token 0.
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
        let mut inner = HuggingFaceTokenizer::new(BPE::default());
        inner.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        inner.with_decoder(Some(ByteLevelDecoder::default()));
        inner
            .train(&mut trainer, texts)
            .map_err(|e| Error::failed(format!("the tokenizer could not be trained: {e}"), "give more text"))?;
        Ok(Self::new(inner))
    }

    /// Returns the number of tokens in the vocabulary; their ids are the numbers below it.
    pub fn vocab_size(&self) -> usize {
        self.texts.len()
    }

    /// Returns the token with the highest id, and that id.
    pub fn last_token(&self) -> Option<(String, u32)> {
        let text = self.texts.last()?;
        Some((String::from_utf8_lossy(text).into_owned(), u32::try_from(self.texts.len() - 1).ok()?))
    }

    /// Checks whether both tokenizers turn every text into the same ids.
    pub fn is_same_as(&self, other: &Self) -> bool {
        matches!((self.to_json(), other.to_json()), (Ok(ours), Ok(theirs)) if ours == theirs)
    }

    /// Encodes a text that follows other text, without a space before it. Every byte has a token, so no text is
    /// unknown.
    ///
    /// # Errors
    /// [`Error::Failed`] when the tokenizers library fails on this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        encode(self.continuing.as_ref().unwrap_or(&self.inner), text)
    }

    /// Encodes a text that follows no other text, as `transformers` does: with a space before it, if the
    /// tokenizer adds one (`add_prefix_space`).
    ///
    /// # Errors
    /// The errors of [`Self::encode`].
    pub fn encode_beginning(&self, text: &str) -> Result<Vec<u32>> {
        encode(&self.inner, text)
    }

    /// Decodes ids to text. An incomplete character becomes U+FFFD, as does an id without a token: a model may
    /// have more ids than its tokenizer has tokens.
    ///
    /// # Errors
    /// None: every id has a text.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let text = |id: &u32| self.texts.get(*id as usize).map_or("\u{fffd}".as_bytes(), Vec::as_slice);
        let bytes: Vec<u8> = ids.iter().flat_map(text).copied().collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns the id of the token that stands for this text, such as `.` or a line break.
    pub fn token(&self, text: &str) -> Option<u32> {
        let added = self.inner.get_added_vocabulary().get_vocab().get(text).copied();
        added.or_else(|| self.inner.get_model().token_to_id(&byte_characters::spelled(text.as_bytes())))
    }
}

fn encode(tokenizer: &HuggingFaceTokenizer, text: &str) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode_fast(text, false);
    encoding.map(|e| e.get_ids().to_vec()).map_err(|e| Error::failed(format!("text cannot be tokenized: {e}"), ""))
}

/// Returns the bytes that each token stands for. Added tokens are spelled as text, other tokens by the
/// characters of their bytes; a token with other characters, which no text has, stands for its spelling.
fn texts_by_id(tokenizer: &HuggingFaceTokenizer) -> Vec<Vec<u8>> {
    let added = tokenizer.get_added_vocabulary().get_vocab();
    let vocabulary = tokenizer.get_vocab(true);
    let mut texts = vec![Vec::new(); vocabulary.len()];
    for (token, id) in vocabulary {
        if let Some(text) = texts.get_mut(id as usize) {
            let bytes = byte_characters::bytes(&token).filter(|_| !added.contains_key(&token));
            *text = bytes.unwrap_or_else(|| token.into_bytes());
        }
    }
    texts
}
