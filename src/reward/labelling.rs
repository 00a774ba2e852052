//! Figure 1, left, up to the labels: draw responses, have a labeler choose, write down the choice.

use super::collect::{Collection, collect};
use crate::config;
use crate::data::comparisons::Comparison;
use crate::error::{Error, Result};
use crate::labels::{LabelLog, Labeler};
use crate::lm::{LanguageModel, Task};
use crate::run::interrupt::Interrupt;
use crate::run::progress::{Mode, Progress};
use crate::run::random::{Stream, below, generator, shuffled};
use crate::run::unix_seconds;

/// Comparisons drawn and judged at once; what is judged is on disk before the next are drawn.
const AT_ONCE: usize = 32;

/// A labelling run.
pub struct Labelling<'a> {
    pub settings: &'a config::Labels,
    /// Whose responses are compared.
    pub policy: &'a LanguageModel,
    /// The policy's name, as it is written into every comparison.
    pub policy_name: &'a str,
    pub task: Task,
    pub queries: &'a [String],
    pub seed: u64,
    pub interrupt: Interrupt,
    pub progress: Mode,
}

impl Labelling<'_> {
    /// Draws and judges until the log holds as many comparisons as the settings ask for.
    ///
    /// # Errors
    /// [`Error::Interrupted`] with the log, in which every judgment is; or what went wrong.
    pub fn run(self, labeler: &mut dyn Labeler, log: &mut LabelLog) -> Result<()> {
        let encode = |query: &String| self.task.encode_query(self.policy, query);
        let tokens = self.queries.iter().map(encode).collect::<Result<Vec<_>>>()?;
        let total = self.settings.comparisons;
        let done = log.comparisons().len().min(total);
        let mut progress = Progress::resumed("labelling", done as u64, total as u64, "comparisons", self.progress);
        while log.comparisons().len() < total {
            let first = log.comparisons().len();
            let numbers = first..total.min(first + AT_ONCE);
            let collected = self.collect(&tokens, numbers.clone())?;
            let judged = numbers.zip(&collected).map(|(number, collection)| self.judge(number, collection, labeler));
            log.append_many(&judged.collect::<Result<Vec<_>>>()?)?;
            progress.advance(collected.len() as u64);
            if self.interrupt.requested() && log.comparisons().len() < total {
                return Err(Error::Interrupted { checkpoint: Some(log.path().to_path_buf()) });
            }
        }
        progress.finish();
        Ok(())
    }

    /// Responses to a random query for each of these comparisons, known by their numbers.
    fn collect(&self, tokens: &[Vec<u32>], numbers: std::ops::Range<usize>) -> Result<Vec<Collection>> {
        let query = |number| below(tokens.len(), &mut generator(self.seed, Stream::Queries, 1 << 32, number as u64));
        let picked: Vec<usize> = numbers.clone().map(query).collect();
        let numbers = (self.seed, numbers.start);
        collect(self.policy, tokens, &picked, self.settings.responses_per_query, &self.task, numbers)
    }

    /// Shows the responses in random order, and notes which was chosen.
    fn judge(&self, number: usize, collection: &Collection, labeler: &mut dyn Labeler) -> Result<Comparison> {
        let query = self.queries.get(collection.query).map_or("", String::as_str);
        let decode = |response: &Vec<u32>| self.task.decode_response(self.policy, response);
        let responses = collection.responses.iter().map(decode).collect::<Result<Vec<_>>>()?;
        let order = shuffled(responses.len(), &mut generator(self.seed, Stream::Labels, 1, number as u64));
        let shown: Vec<String> = order.iter().filter_map(|&index| responses.get(index)).cloned().collect();
        let judgment = labeler.judge(query, &shown)?;
        let best = order.get(judgment.best).copied().ok_or_else(|| {
            let what = format!("{} chose response {} of {}", labeler.name(), judgment.best, shown.len());
            Error::failed(what, "responses are numbered from 0")
        })?;
        Ok(Comparison {
            id: format!("{}-{number}", self.seed),
            query: query.into(),
            best,
            responses,
            labeler: labeler.name().into(),
            ms: None,
            at: unix_seconds(),
            policy: self.policy_name.into(),
            order,
        })
    }
}
