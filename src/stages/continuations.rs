//! Responses to many queries, or many responses to one query, handed over as they are sampled.

use crate::data::LeftOut;
use crate::device::DeviceMemory;
use crate::error::{Error, Result};
use crate::lm::files::hugging_face::LanguageModel;
use crate::lm::{Pass, ROWS_AT_ONCE, Sampling, passes_of, sample};
use crate::platform::interrupt::Interrupt;
use crate::platform::progress::{Mode, Progress};
use crate::random::{Stream, uniform};
use crate::task::Task;
use crate::training::memory::{Inference, Memory};

/// Number of responses that are sampled before they are handed over, unless one query has more.
const RESPONSES_AT_ONCE: usize = 64;

/// Model, its queries, and the number of responses to each.
pub struct Continuations<'a> {
    pub model: &'a LanguageModel,
    pub task: &'a Task,
    pub queries: &'a [String],
    /// Number of responses to each query.
    pub responses: usize,
    pub seed: u64,
    pub interrupt: Interrupt,
    pub progress: Mode,
}

/// Part of the responses to a query.
pub struct Part<'a> {
    pub query: &'a str,
    /// Responses in tokens, as sampled.
    pub responses: &'a [Vec<u32>],
    /// Counts of what the model does not read of the query.
    pub left_out: LeftOut,
    /// True if these are the first responses to their query; `is_last` is true for the last.
    pub is_first: bool,
    pub is_last: bool,
}

impl Continuations<'_> {
    /// Returns how many responses are sampled side by side in `device_memory`, and the memory for them.
    ///
    /// # Errors
    /// Fails when not even one response fits.
    pub fn rows_that_fit(&self, device_memory: DeviceMemory) -> Result<(usize, Memory)> {
        let longest_bytes = self.queries.iter().map(String::len).max().unwrap_or(0);
        let response = self.task.sampling.response_length;
        let longest_query = self.task.most_query_tokens(longest_bytes);
        let all = self.queries.len().saturating_mul(self.responses).max(1);
        let rows = self.responses.clamp(RESPONSES_AT_ONCE, ROWS_AT_ONCE).min(all);
        let drawing = Inference {
            models: 1,
            rows,
            responses_per_query: self.responses.min(rows),
            context: self.task.longest_row(longest_query) - response,
            response,
            ..Inference::default()
        };
        let hint = "lower task.response_length_tokens or task.query_length_tokens, or use a smaller model";
        drawing.rows_that_fit(self.model.config(), 1, device_memory, hint)
    }

    /// Samples all responses, `rows` side by side, and hands each part over before the next is sampled, until `take`
    /// returns false.
    ///
    /// # Errors
    /// [`Error::Interrupted`] between two parts. Fails for a query that the model cannot read and when the device
    /// fails, and with the errors of `take`.
    pub fn sample(&self, rows: usize, mut take: impl FnMut(Part<'_>) -> Result<bool>) -> Result<()> {
        let Self { queries, responses, .. } = *self;
        let total = (queries.len() as u64).saturating_mul(responses as u64);
        let mode = if total > rows as u64 { self.progress } else { Mode::Quiet };
        let mut progress = Progress::new("sampling", total, "responses", mode);
        for pass in passes_of(queries.len(), responses, rows) {
            if self.interrupt.requested() {
                return Err(Error::Interrupted { checkpoint: None });
            }
            let some = queries.get(pass.queries.clone()).unwrap_or_default();
            let (drawn, cuts) = self.sample_pass(&pass, some)?;
            let is_first = pass.responses.start == 0;
            let is_last = pass.responses.end == responses;
            for ((query, responses), left_out) in some.iter().zip(drawn.chunks(pass.responses.len())).zip(cuts) {
                let part = Part { query, responses, left_out, is_first, is_last };
                if !progress.suspend(|| take(part))? {
                    return Ok(());
                }
            }
            progress.advance(drawn.len() as u64);
        }
        progress.finish();
        Ok(())
    }

    /// Samples the responses of one pass; also returns what is left out of each query. A response has the random
    /// numbers of its place among all responses, whatever is sampled together.
    fn sample_pass(&self, pass: &Pass, queries: &[String]) -> Result<(Vec<Vec<u32>>, Vec<LeftOut>)> {
        let Self { model, task, .. } = *self;
        let mut cuts = vec![LeftOut::default(); queries.len()];
        let context = |(query, cut): (&String, &mut LeftOut)| Ok(task.context(&task.encode_query(model, query, cut)?));
        let contexts = queries.iter().zip(&mut cuts).map(context).collect::<Result<Vec<_>>>()?;
        let sampling = Sampling { responses_per_query: pass.responses.len(), ..task.sampling };
        let numbers = |row: usize| {
            let query = pass.queries.start + row / pass.responses.len();
            let response = pass.responses.start + row % pass.responses.len();
            let place = (query as u64).wrapping_mul(self.responses as u64).wrapping_add(response as u64);
            uniform(self.seed, Stream::Sampling, 0, place, sampling.response_length)
        };
        let drawn = sample(&model.transformer, None, &contexts, &sampling, numbers, &self.interrupt)?;
        Ok((drawn.responses, cuts))
    }
}
