//! Texts of queries and responses, for scorers that read text.

use crate::error::Result;
use crate::lm::{Responses, Tokenizer};

/// Query in whose place others stand in the chat template; no template has this text of its own.
const STAND_IN: &str = "the-query-of-preftune";

/// Decoder of queries and responses. Of a query, what the model reads around its text is left out: the tokens that
/// begin a text, or the chat template.
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
    let wrapped = tokenizer.decode(&tokenizer.encode_chat(STAND_IN).ok()?).ok()?;
    let (before, after) = wrapped.split_once(STAND_IN)?;
    // A query outside a chat would lose its own ends to a template without a mark before it.
    (!before.trim().is_empty()).then(|| (before.into(), after.into()))
}
