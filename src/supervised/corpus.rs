//! Books as one long row of tokens, and the windows that training reads from it.

use super::examples::{Example, Examples};
use crate::data::{LeftOut, Reason, books};
use crate::error::{Error, Result};
use crate::lm::{END_OF_TEXT, Tokenizer};
use crate::platform::{Mode, Progress};
use crate::random::{Stream, below, generator, shuffled};

/// Cleaned texts, split into a training set and a held-out set.
#[derive(Debug, Clone)]
pub struct Texts {
    pub train: Vec<String>,
    pub held_out: Vec<String>,
    pub left_out: LeftOut,
}

impl Texts {
    /// Cleans each document and holds out its last `held_out_fraction`; what cleaning leaves out is counted.
    pub fn new<'a>(documents: impl Iterator<Item = &'a str>, held_out_fraction: f64) -> Self {
        let mut texts = Self { train: Vec::new(), held_out: Vec::new(), left_out: LeftOut::default() };
        for document in documents {
            let clean = books::clean(document);
            texts.left_out.count(Reason::CleanedBytes, document.len().saturating_sub(clean.len()));
            texts.left_out.count(Reason::EmptyTexts, usize::from(clean.is_empty()));
            let (train, held_out) = books::split_held_out(&clean, held_out_fraction);
            texts.train.push(train.to_owned());
            texts.held_out.push(held_out.to_owned());
        }
        texts
    }
}

/// Returns the tokens that begin each document: the tokenizer's start tokens or, without any, the token that ends a text.
///
/// # Errors
/// [`Error::Usage`] for a tokenizer that has none of them.
pub(super) fn document_start(tokenizer: &Tokenizer) -> Result<Vec<u32>> {
    let end = tokenizer.token(END_OF_TEXT).or_else(|| tokenizer.end_tokens().first().copied());
    match (tokenizer.start_tokens(), end) {
        ([], None) => Err(Error::usage(
            format!("the tokenizer has no token between documents: no start token, no {END_OF_TEXT}, and no end token"),
            "set eos_token in tokenizer_config.json",
        )),
        ([], Some(end)) => Ok(vec![end]),
        (start, _) => Ok(start.to_vec()),
    }
}

/// The training tokens of all documents in one row, each document begun by [`document_start`].
#[derive(Debug, Clone)]
pub struct Corpus {
    tokens: Vec<u32>,
    context: usize,
}

impl Corpus {
    /// Tokenizes `texts` for windows of `context` tokens.
    ///
    /// # Errors
    /// [`Error::Usage`] when the text is shorter than two windows, and the errors of [`document_start`].
    pub fn new(texts: &[String], tokenizer: &Tokenizer, context: usize, progress: Mode) -> Result<Self> {
        let (start, mut tokens) = (document_start(tokenizer)?, Vec::new());
        let mut progress = Progress::new("tokenizing", texts.len() as u64, "texts", progress);
        for text in texts {
            tokens.extend(&start);
            tokens.extend(tokenizer.encode_beginning(text)?);
            progress.advance(1);
        }
        progress.finish();
        if tokens.len() < 2 * (context + 1) {
            return Err(Error::usage(
                format!("the text has {} tokens, too few for windows of {context}", tokens.len()),
                "give more text, or lower pretrain.context_tokens",
            ));
        }
        Ok(Self { tokens, context })
    }

    /// Returns the number of tokens to train on.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Checks whether there is nothing to train on.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Returns the number of windows in one pass over the text.
    pub fn windows(&self) -> usize {
        // One window less than fits, so that each pass can begin at another offset.
        (self.tokens.len() - 1) / self.context - 1
    }

    /// Returns the starts of the windows of one step; each pass draws a new order and a new offset.
    pub fn starts(&self, seed: u64, step: usize, size: usize) -> Vec<usize> {
        let windows = self.windows();
        let mut starts = Vec::with_capacity(size);
        let mut number = step * size;
        while starts.len() < size {
            let (pass, first) = (number / windows, number % windows);
            let mut rng = generator(seed, Stream::Data, pass as u64, 0);
            let offset = below(self.context, &mut rng);
            let order = shuffled(windows, &mut rng);
            let taken = order.iter().skip(first).take(size - starts.len());
            starts.extend(taken.map(|window| offset + window * self.context));
            number = step * size + starts.len();
        }
        starts
    }
}

impl Examples for Corpus {
    /// Returns the windows of a step, of which all tokens but the first are predicted.
    fn of_step(&self, seed: u64, step: usize, size: usize) -> Vec<Example> {
        let window = |start: usize| {
            let tokens = |from: usize, to: usize| self.tokens.get(from..to).unwrap_or_default().to_vec();
            Example { context: tokens(start, start + 1), continuation: tokens(start + 1, start + self.context + 1) }
        };
        self.starts(seed, step, size).into_iter().map(window).collect()
    }
}
