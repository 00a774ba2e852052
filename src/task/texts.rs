//! Texts of queries and responses, for scorers that read text.

use crate::error::Result;
use crate::lm::{Responses, Tokenizer};

/// Placeholder for a query. It shows where a query stands in the rendered template, so it must not occur in a template.
const PLACEHOLDER: &str = "the-query-of-preftune";

/// Decoder of queries and responses. A query is decoded without what surrounds its text: the tokens that begin a text, or
/// the chat template.
pub(super) struct Texts {
    tokenizer: Tokenizer,
    /// Texts of the chat template before and after a query.
    template: Option<(String, String)>,
}

impl Texts {
    pub(super) fn new(tokenizer: &Tokenizer) -> Self {
        Self { tokenizer: tokenizer.clone(), template: template_of(tokenizer) }
    }

    /// Returns a pair of texts for each response: its query, and itself.
    ///
    /// # Errors
    /// The errors of [`Tokenizer::decode`].
    pub(super) fn pairs(&self, responses: Responses<'_>) -> Result<Vec<(String, String)>> {
        let pairs = responses.queries.iter().zip(responses.responses);
        pairs.map(|(query, response)| Ok((self.query(query)?, self.tokenizer.decode(response)?))).collect()
    }

    fn query(&self, ids: &[u32]) -> Result<String> {
        let whole = self.tokenizer.decode(ids)?;
        if let Some((before, after)) = &self.template
            && let Some(text) = whole.strip_prefix(before).and_then(|rest| rest.strip_suffix(after))
        {
            return Ok(text.into());
        }
        let start = self.tokenizer.start_tokens();
        self.tokenizer.decode_beginning(ids.strip_prefix(start).unwrap_or(ids))
    }
}

/// Returns what the chat template puts before and after a query. A template that cannot be used is reported where a
/// query is encoded with it, and here it counts as none.
fn template_of(tokenizer: &Tokenizer) -> Option<(String, String)> {
    if !tokenizer.has_chat_template() {
        return None;
    }
    let wrapped = tokenizer.decode(&tokenizer.encode_chat(PLACEHOLDER).ok()?).ok()?;
    let (before, after) = wrapped.split_once(PLACEHOLDER)?;
    // If a template has no text before the query, a query that is not in a chat could not be told from one that is.
    (!before.trim().is_empty()).then(|| (before.into(), after.into()))
}
