//! Queries for one model: text, passages of books, or the token ids of the original's label files.

use std::path::Path;

use super::original_labels::original_labels;
use super::tokens::Task;
use crate::data::books::clean;
use crate::data::entries::Entries;
use crate::data::openai::{distinct_queries, is_original};
use crate::data::queries::{parse_queries, queries_from_book};
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::lm::files::Tokenizer;
use crate::lm::files::hugging_face::LanguageModel;

/// Queries as they were given.
#[derive(Debug, Clone)]
pub enum Queries {
    Text(Vec<String>),
    /// Token ids of the model, taken as they are: as text, they might come back as other tokens.
    Tokens(Vec<Vec<u32>>),
}

impl Queries {
    /// Reads the queries of a file: text, JSON, or a label file of the original, of which each query counts
    /// once; `path` is named in errors.
    ///
    /// # Errors
    /// The errors of [`parse_queries`] and [`original_labels`].
    pub fn from_file(text: &str, path: &Path, tokenizer: &Tokenizer, left_out: &mut LeftOut) -> Result<Self> {
        let mut entries = Entries::new(text.as_bytes(), path);
        match is_original(&mut entries) {
            true => Ok(Self::Tokens(distinct_queries(original_labels(entries, tokenizer)?, left_out)?)),
            false => Ok(Self::Text(parse_queries(text, path, left_out)?)),
        }
    }

    /// Takes the passages of books that the original would take (`queries_from_book`): one every
    /// `task.query_length` tokens.
    ///
    /// # Errors
    /// [`Error::Usage`] when the books have no such passage.
    pub fn from_books(books: &[String], model: &LanguageModel, task: &Task, left_out: &mut LeftOut) -> Result<Self> {
        let mut queries = Vec::new();
        for book in books {
            let clean = clean(book);
            left_out.count(Reason::CleanedBytes, book.len().saturating_sub(clean.len()));
            left_out.count(Reason::EmptyTexts, usize::from(clean.is_empty()));
            let tokens = model.tokenizer.encode_beginning(&clean)?;
            let starts: Vec<usize> = (0..tokens.len()).step_by(task.query_length).collect();
            let period = model.tokenizer.token(".").unwrap_or(task.truncation.token);
            let found = queries_from_book(&tokens, period, task.query_length, &starts);
            left_out.count(Reason::PassagesWithoutSentence, starts.len() - found.len());
            queries.extend(found.into_iter().map(|query| Task::begin(model, query)));
        }
        if queries.is_empty() {
            let what = format!("no sentence of these books has {} tokens or fewer", task.query_length);
            return Err(Error::usage(what, "raise task.query_length_tokens, or give .txt files of prose"));
        }
        Ok(Self::Tokens(queries))
    }

    /// Returns the queries as text. Queries whose text encodes to other tokens are counted in `left_out`.
    ///
    /// # Errors
    /// [`Error::Failed`] when the tokenizer fails.
    pub fn texts(self, tokenizer: &Tokenizer, left_out: &mut LeftOut) -> Result<Vec<String>> {
        match self {
            Self::Text(texts) => Ok(texts),
            Self::Tokens(queries) => {
                let start = tokenizer.start_tokens();
                let queries: Vec<&[u32]> =
                    queries.iter().map(|query| query.strip_prefix(start).unwrap_or(query)).collect();
                let texts =
                    queries.iter().map(|query| tokenizer.decode_beginning(query)).collect::<Result<Vec<_>>>()?;
                let again = texts.iter().map(|text| tokenizer.encode_beginning(text)).collect::<Result<Vec<_>>>()?;
                let changed = again.iter().zip(&queries).filter(|(again, query)| again != query).count();
                left_out.count(Reason::QueriesChangedAsText, changed);
                Ok(texts)
            }
        }
    }

    /// Returns the queries in tokens of the model; truncation is counted in `left_out`. In a chat, queries that are
    /// tokens become text, because the template wraps text.
    ///
    /// # Errors
    /// The errors of [`Task::encode_query`].
    pub fn tokens(self, model: &LanguageModel, task: &Task, left_out: &mut LeftOut) -> Result<Vec<Vec<u32>>> {
        match self {
            Self::Tokens(queries) if !task.chat => Ok(queries),
            queries => {
                let texts = queries.texts(&model.tokenizer, left_out)?;
                texts.iter().map(|text| task.encode_query(model, text, left_out)).collect()
            }
        }
    }
}
