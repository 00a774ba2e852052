//! Text to token ids and back: byte-level BPE as in GPT-2, trained here or loaded, and BPE with a mark for spaces as in
//! the first Llamas.

mod byte_characters;
mod chat;
mod definition;
mod json_file;
mod quiet_panics;
mod settings;
mod spelling;
mod splitting;
#[cfg(test)]
mod tests;
mod two_files;
mod vocabulary_json;

use std::path::Path;
use std::sync::Arc;

use tokenizers::decoders::byte_level::ByteLevel as ByteLevelDecoder;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Model, Tokenizer as HuggingFaceTokenizer};

use crate::error::{Error, Result};
pub use chat::CHAT_TEMPLATE_FILE;
pub(crate) use chat::ChatTemplate;
use definition::{Built, Fault};
pub(crate) use settings::TokenizerSettings;
pub use settings::{ADDED_TOKENS_FILE, SPECIAL_TOKENS_FILE, TOKENIZER_CONFIG_FILE};
use spelling::Spelling;

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
    /// Bytes without a token.
    unreadable: Arc<[u8]>,
    spelling: Spelling,
    /// Tokens before every text that follows no other text.
    start: Arc<[u32]>,
    /// Tokens with which the model ends a text.
    end: Arc<[u32]>,
    chat_template: Option<Arc<ChatTemplate>>,
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
        let hint = "this program supports byte-level BPE and SentencePiece-style BPE (Metaspace); take the \
                    tokenizer.json that came with the model";
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

    fn new(Built { inner, continuing, spelling, start }: Built) -> Self {
        let texts = texts_by_id(&inner, spelling).into();
        let has_token = |byte: u8| inner.get_model().token_to_id(&spelling.token_of_byte(byte)).is_some();
        let unreadable = (0..=255).filter(|&byte| !has_token(byte)).collect();
        Self {
            inner,
            continuing,
            texts,
            unreadable,
            spelling,
            start: start.into(),
            end: Arc::default(),
            chat_template: None,
        }
    }

    /// Returns this tokenizer for a model that ends a text with one of these tokens.
    #[must_use]
    pub fn with_end_tokens(self, end: Vec<u32>) -> Self {
        Self { end: end.into(), ..self }
    }

    /// Returns this tokenizer with a chat template.
    pub(super) fn with_chat_template(self, template: Option<ChatTemplate>) -> Self {
        Self { chat_template: template.map(Arc::new), ..self }
    }

    /// Checks whether the model came with a chat template.
    pub fn has_chat_template(&self) -> bool {
        self.chat_template.is_some()
    }

    /// Encodes a message of the role `user` in the model's own chat template, up to where the answer begins.
    ///
    /// # Errors
    /// [`Error::Usage`] when the model has no chat template, or one that cannot be used, and the errors of
    /// [`Self::encode`].
    pub fn encode_chat(&self, query: &str) -> Result<Vec<u32>> {
        match &self.chat_template {
            Some(template) => self.encode_beginning(&template.render(query)?),
            None => Err(Error::usage(
                "the model has no chat template",
                "leave out --chat, or take a model that was trained for chat: its folder has chat_template.jinja, or a \
                 chat_template in tokenizer_config.json",
            )),
        }
    }

    /// Returns the tokens that `transformers` puts before a text that follows no other text; [`Self::encode_beginning`]
    /// does not add them.
    pub fn start_tokens(&self) -> &[u32] {
        &self.start
    }

    /// Returns the tokens with which the model ends a text; none for a GPT-2, which samples on.
    pub fn end_tokens(&self) -> &[u32] {
        &self.end
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
        let spelling = Spelling::ByteLevel;
        Ok(Self::new(Built { inner, continuing: None, spelling, start: Vec::new() }))
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

    /// Encodes a text that follows other text, without a space before it.
    ///
    /// # Errors
    /// [`Error::Failed`] for a text with a byte that has no token, such as a control character, and when the
    /// tokenizers library fails on this text.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.check_bytes(text)?;
        encode(self.continuing.as_ref().unwrap_or(&self.inner), text)
    }

    /// Encodes a text that follows no other text, as `transformers` does: with a space before it, if the
    /// tokenizer adds one (`add_prefix_space`).
    ///
    /// # Errors
    /// The errors of [`Self::encode`].
    pub fn encode_beginning(&self, text: &str) -> Result<Vec<u32>> {
        self.check_bytes(text)?;
        encode(&self.inner, text)
    }

    /// Refuses a text of which the library would leave out a character, since a byte of it has no token.
    fn check_bytes(&self, text: &str) -> Result<()> {
        if self.unreadable.is_empty() {
            return Ok(());
        }
        let Some(byte) = text.bytes().find(|byte| self.unreadable.contains(byte)) else { return Ok(()) };
        Err(Error::failed(
            format!("a text holds the byte {byte:#04x}, for which the model's tokenizer has no token"),
            "remove it from the text; it is a control character, or a part of a very rare one",
        ))
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

    /// Decodes ids of a text that follows no other text, to the text of which [`Self::encode_beginning`] makes them:
    /// without the space that it adds.
    ///
    /// # Errors
    /// The errors of [`Self::decode`].
    pub fn decode_beginning(&self, ids: &[u32]) -> Result<String> {
        let text = self.decode(ids)?;
        let Some(without) = text.strip_prefix(' ').filter(|_| self.continuing.is_some()) else { return Ok(text) };
        // Some tokenizers add no space before a text that begins with one.
        let is_encoded_to_ids = |text: &str| self.encode_beginning(text).is_ok_and(|again| again == ids);
        match is_encoded_to_ids(&text) && !is_encoded_to_ids(without) {
            true => Ok(text),
            false => Ok(without.into()),
        }
    }

    /// Returns the id of the token that stands for this text, such as `.` or a line break.
    pub fn token(&self, text: &str) -> Option<u32> {
        let added = self.inner.get_added_vocabulary().get_vocab().get(text).copied();
        let model = self.inner.get_model();
        let of_byte = || match text.as_bytes() {
            [byte] => model.token_to_id(&self.spelling.token_of_byte(*byte)),
            _ => None,
        };
        added.or_else(|| model.token_to_id(&self.spelling.token_of(text))).or_else(of_byte)
    }
}

fn encode(tokenizer: &HuggingFaceTokenizer, text: &str) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode_fast(text, false);
    encoding.map(|e| e.get_ids().to_vec()).map_err(|e| Error::failed(format!("text cannot be tokenized: {e}"), ""))
}

/// Returns the bytes that each token stands for. Added tokens are spelled as text; a token with other characters than
/// the spelling has, which no text has, stands for itself.
fn texts_by_id(tokenizer: &HuggingFaceTokenizer, spelling: Spelling) -> Vec<Vec<u8>> {
    let added = tokenizer.get_added_vocabulary().get_vocab();
    let vocabulary = tokenizer.get_vocab(true);
    let mut texts = vec![Vec::new(); vocabulary.len()];
    for (token, id) in vocabulary {
        if let Some(text) = texts.get_mut(id as usize) {
            let bytes = spelling.bytes(&token).filter(|_| !added.contains_key(&token));
            *text = bytes.unwrap_or_else(|| token.into_bytes());
        }
    }
    texts
}
