//! Labeler that is an external program.

use super::{Judgment, Labeler};
use crate::error::Result;
use crate::platform::external_command::ExternalCommand;

/// Labeler that asks an external program for the index of the best response, from 0.
pub struct CommandLabeler(pub ExternalCommand);

impl Labeler for CommandLabeler {
    fn name(&self) -> &str {
        "command"
    }

    fn judge(&mut self, query: &str, responses: &[String]) -> Result<Judgment> {
        let answer = self.0.ask(query, responses)?;
        let best = answer.as_u64().and_then(|best| usize::try_from(best).ok()).filter(|&best| best < responses.len());
        let expected = || format!("the number of the best response, from 0 to {}", responses.len().saturating_sub(1));
        best.map(|best| Judgment { best, tied: false }).ok_or_else(|| self.0.wrong(&answer, &expected()))
    }
}
