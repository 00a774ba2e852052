//! The task in tokens of one model: queries, and the truncation of responses (`lm_tasks.py`).

use crate::config;
use crate::config::LongQueries;
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::lm::Sampling;
use crate::lm::files::hugging_face::LanguageModel;

/// Truncation of responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Truncation {
    /// Token after which a response is truncated, such as the period's.
    pub token: u32,
    /// First index at which the token counts.
    pub after: usize,
    /// Tokens with which the model itself ends a response: it is truncated after the first one at any index.
    pub end_tokens: Vec<u32>,
}

/// The settings of a task, for one model.
#[derive(Debug, Clone)]
pub struct Task {
    pub truncation: Truncation,
    /// Sampling of one response to each query.
    pub sampling: Sampling,
    /// Score of a response without the truncation token.
    pub penalty_score: f64,
    /// Largest number of tokens of a query.
    pub query_length: usize,
    pub long_queries: LongQueries,
    /// Token after which a query ends: its last occurrence counts, if there is one.
    pub query_end: Option<u32>,
    /// Tokens that the policy reads before and after a query, but the reward model does not (`policy.py`,
    /// `embed_queries`).
    pub query_prefix: Vec<u32>,
    pub query_suffix: Vec<u32>,
    /// True if queries are wrapped in the model's chat template.
    pub chat: bool,
    /// Number of tokens that a query has beside those of its text: the start of the text, or the chat template. For the
    /// template it is one more, because the ends of a text may merge with it.
    pub around_text: usize,
    /// Tokens with which the model begins a text; none in a chat, where the template has them.
    pub start: Vec<u32>,
}

/// A query in tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedQuery {
    /// Tokens of its text alone.
    pub own: Vec<u32>,
    /// Tokens that the models read: also those that begin a text, or the chat template.
    pub whole: Vec<u32>,
}

impl Truncation {
    /// Returns the part of a response that is kept: up to the first `token` at index ≥ `after`, or up to a token that ends
    /// the response before that; the whole response if there is neither.
    pub fn kept<'a>(&self, response: &'a [u32]) -> &'a [u32] {
        let [own, model] = self.ends(response);
        let end = own.into_iter().chain(model).min().unwrap_or(response.len());
        response.get(..end).unwrap_or(response)
    }

    /// Returns the part of a response that is text: what is kept, without a token that ends it. Reward models are
    /// trained on texts, and so read no end tokens.
    pub fn text<'a>(&self, response: &'a [u32]) -> &'a [u32] {
        match self.kept(response) {
            [text @ .., last] if self.end_tokens.contains(last) => text,
            kept => kept,
        }
    }

    /// Returns the part of a response before the model itself ends it.
    pub fn before_end<'a>(&self, response: &'a [u32]) -> &'a [u32] {
        let end = response.iter().position(|id| self.end_tokens.contains(id));
        end.and_then(|end| response.get(..end)).unwrap_or(response)
    }

    /// Returns the end token of a response that the model ended before the truncation token; `None` for other responses.
    pub fn ended_early(&self, response: &[u32]) -> Option<u32> {
        let [own, model] = self.ends(response);
        let end = model.filter(|&model| own.is_none_or(|own| model < own))?;
        response.get(..end)?.last().copied()
    }

    /// Checks whether a response has `token` at an index ≥ `after`, and no end before it.
    pub fn is_valid(&self, response: &[u32]) -> bool {
        let [own, model] = self.ends(response);
        own.is_some_and(|own| model.is_none_or(|model| own <= model))
    }

    /// Returns the lengths up to the `token` at index ≥ `after`, and up to the first token that ends a response.
    fn ends(&self, response: &[u32]) -> [Option<usize>; 2] {
        let mut tail = response.iter().skip(self.after);
        let own = tail.position(|&id| id == self.token).map(|index| self.after + index + 1);
        [own, response.iter().position(|id| self.end_tokens.contains(id)).map(|index| index + 1)]
    }
}

impl Task {
    /// Encodes the settings of a task in this model's tokens.
    ///
    /// # Errors
    /// [`Error::Usage`] when the model has no such truncation token or query end, or is too short for the task, and
    /// for a prefix or suffix in a chat.
    pub fn new(settings: &config::Task, model: &LanguageModel) -> Result<Self> {
        check_chat(settings)?;
        let token = |setting: &str, text: &str| {
            model.tokenizer.token(text).ok_or_else(|| {
                let what = format!("the model's vocabulary has no token \"{text}\"");
                Error::usage(what, format!("set {setting} to one that it has"))
            })
        };
        let query_end = match settings.query_end_token.as_str() {
            "" => None,
            text => Some(token("task.query_end_token", text)?),
        };
        let query_prefix = model.tokenizer.encode(&settings.query_prefix)?;
        let query_suffix = model.tokenizer.encode(&settings.query_suffix)?;
        let (start, around_text) = match settings.chat {
            true => (Vec::new(), model.tokenizer.encode_chat("x")?.len()),
            false => (model.tokenizer.start_tokens().to_vec(), model.tokenizer.start_tokens().len()),
        };
        let around = query_prefix.len() + query_suffix.len() + around_text;
        let length = around + settings.query_length_tokens + settings.response_length_tokens;
        if length > model.config().positions {
            return Err(Error::usage(
                format!("query and response take {length} tokens, the model reads {}", model.config().positions),
                "lower task.query_length_tokens or task.response_length_tokens",
            ));
        }
        Ok(Self {
            truncation: Truncation {
                token: token("task.truncate_token", &settings.truncate_token)?,
                after: settings.truncate_after_tokens,
                end_tokens: model.tokenizer.end_tokens().to_vec(),
            },
            sampling: Sampling {
                response_length: settings.response_length_tokens,
                temperature: settings.temperature,
                responses_per_query: 1,
            },
            penalty_score: settings.penalty_score,
            query_length: settings.query_length_tokens,
            long_queries: settings.long_queries,
            query_end,
            query_prefix,
            query_suffix,
            chat: settings.chat,
            around_text,
            start,
        })
    }

    /// Returns the number of tokens that the policy reads with a query of `longest_query` tokens and its response. The
    /// tokens of a query are those of [`EncodedQuery::whole`].
    pub fn longest_row(&self, longest_query: usize) -> usize {
        self.query_prefix.len() + longest_query + self.query_suffix.len() + self.sampling.response_length
    }

    /// Returns the largest number of tokens that a query of `bytes` bytes can have: a token has a byte or more, and a
    /// tokenizer may add a space.
    pub fn most_query_tokens(&self, bytes: usize) -> usize {
        self.around_text + (bytes + 1).min(self.query_length)
    }

    /// Returns the tokens that the policy continues: the query between prefix and suffix. The tokens that begin a text
    /// stay at its start, before the prefix.
    pub fn context(&self, query: &[u32]) -> Vec<u32> {
        let own = query.strip_prefix(self.start.as_slice()).unwrap_or(query);
        let start = query.get(..query.len() - own.len()).unwrap_or_default();
        [start, &self.query_prefix, own, &self.query_suffix].concat()
    }

    /// Returns [`Self::context`] for each of `queries`.
    pub fn contexts(&self, queries: &[Vec<u32>]) -> Vec<Vec<u32>> {
        queries.iter().map(|query| self.context(query)).collect()
    }

    /// Encodes a query and shortens it to `query_length` tokens, which is counted in `left_out`. A query
    /// follows no text, so it gets the space that some tokenizers add before text, and the tokens with which the model
    /// begins a text; in a chat it is wrapped in the model's template.
    ///
    /// # Errors
    /// [`Error::Usage`] for a query without text, and for a chat template that cannot be used.
    pub fn encode_query(&self, model: &LanguageModel, query: &str, left_out: &mut LeftOut) -> Result<Vec<u32>> {
        self.encode_own_and_whole(model, query, left_out).map(|encoded| encoded.whole)
    }

    /// Returns [`Self::encode_query`], and the tokens of the query's text alone.
    ///
    /// # Errors
    /// The errors of [`Self::encode_query`].
    pub fn encode_own_and_whole(
        &self,
        model: &LanguageModel,
        query: &str,
        left_out: &mut LeftOut,
    ) -> Result<EncodedQuery> {
        let ids = model.tokenizer.encode_beginning(query)?;
        if ids.is_empty() {
            return Err(Error::usage("a query is empty", "give every query some text"));
        }
        let (length, most) = (ids.len(), ids.len().min(self.query_length));
        let mut own = truncate_query(ids, self.query_length, self.long_queries, self.query_end);
        own.shrink_to_fit();
        let shortened = own.len();
        left_out.count(Reason::QueriesEndedEarly, usize::from(shortened < most));
        let encoded = match self.chat {
            true => self.in_template(model, query, length, own)?,
            false => EncodedQuery { whole: Self::begin(model, own.clone()), own },
        };
        let again = encoded.own.len() < shortened;
        left_out.queries_cut.count(length, if again { encoded.own.len() } else { self.query_length });
        Ok(encoded)
    }

    /// Wraps a query that had `length` tokens in the model's chat template. Inside it, the text may take more tokens
    /// than by itself: an incomplete character becomes U+FFFD, and its ends may merge in another way. So it is
    /// shortened until it takes no more room than [`Self::new`] allowed it.
    fn in_template(
        &self,
        model: &LanguageModel,
        query: &str,
        length: usize,
        mut own: Vec<u32>,
    ) -> Result<EncodedQuery> {
        let room = self.around_text + self.query_length;
        loop {
            let is_whole = own.len() == length;
            let text = if is_whole { query.to_string() } else { model.tokenizer.decode_beginning(&own)? };
            let whole = model.tokenizer.encode_chat(&text)?;
            let over = whole.len().saturating_sub(room);
            if over == 0 {
                return Ok(EncodedQuery { own, whole });
            }
            if over >= own.len() {
                return Err(Error::usage(
                    format!("in the chat template, a query takes {} tokens, and there is room for {room}", whole.len()),
                    "raise task.query_length_tokens",
                ));
            }
            let shorter = own.len() - over;
            own = truncate_query(own, shorter, self.long_queries, self.query_end);
        }
    }

    /// Puts the tokens with which the model begins a text before those of a query.
    pub fn begin(model: &LanguageModel, query: Vec<u32>) -> Vec<u32> {
        match model.tokenizer.start_tokens() {
            [] => query,
            start => [start, &query].concat(),
        }
    }

    /// Encodes a response as it continues a query, and shortens it to the sampled length, which is counted in
    /// `left_out`.
    ///
    /// # Errors
    /// [`Error::Failed`] when the tokenizer fails.
    pub fn encode_response(&self, model: &LanguageModel, response: &str, left_out: &mut LeftOut) -> Result<Vec<u32>> {
        let mut ids = model.tokenizer.encode(response)?;
        left_out.responses_cut.count(ids.len(), self.sampling.response_length);
        left_out.count(Reason::EmptyResponses, usize::from(ids.is_empty()));
        ids.truncate(self.sampling.response_length);
        // Many responses are kept, without memory for the tokens that were cut off.
        ids.shrink_to_fit();
        Ok(ids)
    }

    /// Decodes a response, up to where the model itself ends it.
    ///
    /// # Errors
    /// [`Error::Failed`] when the tokenizer fails.
    pub fn decode_whole_response(&self, model: &LanguageModel, response: &[u32]) -> Result<String> {
        model.tokenizer.decode(self.truncation.before_end(response))
    }

    /// Decodes a response, up to where it is truncated and without a token that ends it.
    ///
    /// # Errors
    /// [`Error::Failed`] when the tokenizer fails.
    pub fn decode_response(&self, model: &LanguageModel, response: &[u32]) -> Result<String> {
        model.tokenizer.decode(self.truncation.text(response))
    }
}

/// Refuses a prefix or suffix in a chat: the template has its own tokens around a query, and text outside it would
/// stand where the model expects none.
fn check_chat(settings: &config::Task) -> Result<()> {
    if !settings.chat || (settings.query_prefix.is_empty() && settings.query_suffix.is_empty()) {
        return Ok(());
    }
    Err(Error::usage(
        "task.chat wraps queries in the model's chat template, and task.query_prefix or task.query_suffix is set, too",
        "set both to \"\" and write their text into the queries, or leave out --chat",
    ))
}

/// Truncates a query to `length` tokens, and then after the last `end` among them, if there is one.
fn truncate_query(mut ids: Vec<u32>, length: usize, long_queries: LongQueries, end: Option<u32>) -> Vec<u32> {
    match long_queries {
        LongQueries::KeepStart => ids.truncate(length),
        LongQueries::KeepEnd => drop(ids.drain(..ids.len().saturating_sub(length))),
    }
    if let Some(last) = ids.iter().rposition(|&id| Some(id) == end) {
        ids.truncate(last + 1);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `lm_tasks.py` reads the lead of an article, up to an end of line.
    #[test]
    fn a_long_query_keeps_its_start_or_its_end() {
        use LongQueries::{KeepEnd, KeepStart};
        let ids = || vec![1, 2, 198, 3, 198, 4];
        assert_eq!(truncate_query(ids(), 4, KeepEnd, None), [198, 3, 198, 4]);
        assert_eq!(truncate_query(ids(), 4, KeepStart, None), [1, 2, 198, 3]);
        assert_eq!(truncate_query(ids(), 4, KeepStart, Some(198)), [1, 2, 198]);
        assert_eq!(truncate_query(ids(), 9, KeepStart, Some(198)), [1, 2, 198, 3, 198]);
        assert_eq!(truncate_query(ids(), 2, KeepStart, Some(198)), [1, 2]);
    }

    const AFTER_PERIOD: Truncation = Truncation { token: 13, after: 2, end_tokens: Vec::new() };

    #[test]
    fn a_response_ends_with_the_first_period_late_enough() {
        assert_eq!(AFTER_PERIOD.kept(&[13, 5, 6, 13, 7, 13]), [13, 5, 6, 13]);
        assert_eq!(AFTER_PERIOD.kept(&[1, 2, 13, 13]), [1, 2, 13]);
        assert!(AFTER_PERIOD.is_valid(&[1, 2, 13, 13]));
    }

    /// A token that ends the response may also be the one that it has to have.
    #[test]
    fn a_response_ends_where_the_model_ends_it() {
        let ending = Truncation { end_tokens: vec![7, 8], ..AFTER_PERIOD };
        assert_eq!(ending.kept(&[5, 8, 6, 13, 7, 1]), [5, 8]);
        assert_eq!(ending.kept(&[5, 6, 6, 13, 7, 1]), [5, 6, 6, 13]);
        assert_eq!(ending.kept(&[5, 6, 6, 9, 7, 1]), [5, 6, 6, 9, 7]);
        let valid = |response: &[u32]| ending.is_valid(response);
        assert!(valid(&[5, 6, 6, 13, 7]) && !valid(&[5, 8, 6, 13]) && !valid(&[5, 6, 6, 9, 7]));
        let chat = Truncation { token: 8, ..ending };
        assert!(chat.is_valid(&[5, 6, 8, 1]) && !chat.is_valid(&[5, 8, 6, 8]) && !chat.is_valid(&[5, 6, 7, 8]));
    }

    #[test]
    fn what_is_scored_has_neither_padding_nor_the_token_that_ends_it() {
        let ending = Truncation { end_tokens: vec![7, 8], ..AFTER_PERIOD };
        assert_eq!(ending.text(&[5, 8, 6, 13]), [5]);
        assert_eq!(ending.text(&[5, 6, 6, 13, 7]), [5, 6, 6, 13]);
        assert_eq!(ending.text(&[8, 6]), [0; 0]);
        // A GPT-2 samples on.
        assert_eq!(AFTER_PERIOD.text(&[5, 8, 6, 13, 7]), [5, 8, 6, 13]);
        assert_eq!(AFTER_PERIOD.text(&[5, 8, 6, 7]), [5, 8, 6, 7]);
    }

    #[test]
    fn a_response_that_the_model_ends_before_the_truncate_token_ended_early() {
        let ending = Truncation { end_tokens: vec![7, 8], ..AFTER_PERIOD };
        assert_eq!(ending.ended_early(&[5, 8, 6, 13]), Some(8));
        assert_eq!(ending.ended_early(&[5, 6, 6, 7]), Some(7));
        assert_eq!(ending.ended_early(&[5, 6, 6, 13, 7]), None);
        assert_eq!(ending.ended_early(&[5, 6, 6, 9]), None);
        assert_eq!(Truncation { token: 8, ..ending }.ended_early(&[5, 6, 8, 7]), None);
        assert_eq!(AFTER_PERIOD.ended_early(&[5, 8, 6, 7]), None);
    }

    #[test]
    fn a_response_without_one_stays_whole() {
        assert_eq!(AFTER_PERIOD.kept(&[13, 13, 1, 2]), [13, 13, 1, 2]);
        assert!(!AFTER_PERIOD.is_valid(&[13, 13, 1, 2]));
    }
}
