//! Preparation of comparisons for reward training.

use std::io::BufRead;

use super::loss::{TokenComparison, hash_of};
use super::normalization::NormalizationSamples;
use crate::config::Config;
use crate::data::comparisons::Comparison;
use crate::data::entries::Entries;
use crate::data::openai::{PickBest, is_original, without_padding};
use crate::data::preferences::{Preference, PreferenceReader};
use crate::data::split::{split_after, split_by_query};
use crate::data::{LeftOut, Reason};
use crate::error::{Error, Result};
use crate::lm::{LanguageModel, Tokenizer};
use crate::task::{EncodedQuery, Task, original_labels};

/// Comparisons in tokens, and responses to normalize on.
#[derive(Debug, Clone)]
pub struct RewardData {
    pub train: Vec<TokenComparison>,
    /// Held-out comparisons, about queries that are not in `train`.
    pub held_out: Vec<TokenComparison>,
    pub normalization: NormalizationSamples,
}

impl RewardData {
    /// Returns the number of comparisons that are not trained on, because they do not fill a batch of this size.
    pub fn without_batch(&self, batch_size: usize) -> usize {
        if self.train.len() < batch_size { 0 } else { self.train.len() % batch_size }
    }

    /// Returns the accuracy of guessing on the held-out comparisons or, if there are none, on all: the mean of 1/N over
    /// comparisons with N responses that all differ.
    pub fn chance(&self) -> f64 {
        let measured = if self.held_out.is_empty() { &self.train } else { &self.held_out };
        measured.iter().map(TokenComparison::chance).sum::<f64>() / measured.len() as f64
    }

    /// Returns the loss of guessing on all comparisons: the mean of ln N over comparisons with N responses.
    pub fn loss_of_guessing(&self) -> f64 {
        let all = || self.train.iter().chain(&self.held_out);
        all().map(|one| (one.responses.len() as f64).ln()).sum::<f64>() / all().count() as f64
    }
}

/// Splits comparisons into a training set and a held-out set about other queries, as `settings` say; comparisons in
/// neither set are counted. Queries are the same if they differ only in white space at their ends, before or after
/// truncation.
pub fn split(
    comparisons: Vec<TokenComparison>,
    settings: &Config,
    seed: u64,
    left_out: &mut LeftOut,
) -> (Vec<TokenComparison>, Vec<TokenComparison>) {
    let (all, keys) = (comparisons.len(), |one: &TokenComparison| one.query_keys);
    let (train, held_out) = match settings.reward.train_comparisons {
        0 => split_by_query(comparisons, keys, settings.labels.held_out_fraction, seed),
        count => split_after(comparisons, keys, count),
    };
    left_out.count(Reason::QueryTrains, all - train.len() - held_out.len());
    (train, held_out)
}

/// Reads the comparisons of a file in any known format, in tokens of the model; the original's labels are tokens and
/// are taken as they are. In tasks of Label Studio, only the answers to `question` count. Comparisons that are left out
/// or shortened are counted.
///
/// # Errors
/// Fails at the first bad entry, and with the errors of [`original_labels`].
pub fn token_comparisons(
    mut entries: Entries<impl BufRead>,
    question: Option<&str>,
    model: &LanguageModel,
    task: &Task,
    left_out: &mut LeftOut,
) -> Result<Vec<TokenComparison>> {
    let mut read = Vec::new();
    if is_original(&mut entries) {
        let path = entries.path().to_path_buf();
        if question.is_some() {
            return Err(Error::input(&path, "a label file of the original has no questions", "leave --question out"));
        }
        if task.chat {
            return Err(Error::input(
                &path,
                "task.chat is set, but the labels of the original are tokens and are not wrapped in a chat template",
                "leave out --chat, or turn the file into comparisons with `preftune export --format comparisons`",
            ));
        }
        for label in original_labels(entries, &model.tokenizer)? {
            read.push(TokenComparison::of_label(&label?, &model.tokenizer, left_out)?);
        }
    } else {
        let mut reader = PreferenceReader::new(entries, question);
        // Truncations are kept with each comparison, because they do not count if the comparison is taken back.
        let mut encoded = Vec::new();
        for preference in reader.by_ref() {
            match preference? {
                Preference::Chosen(one) => {
                    let mut cut = LeftOut::default();
                    encoded.push(Some((TokenComparison::encode(model, task, &one, &mut cut)?, cut)));
                }
                Preference::TakenBack(number) => drop(encoded.get_mut(number).and_then(Option::take)),
            }
        }
        left_out.add(reader.left_out());
        for (comparison, cut) in encoded.into_iter().flatten() {
            left_out.add(&cut);
            read.push(comparison);
        }
    }
    Ok(that_tell_something(read.into_iter(), left_out))
}

/// Encodes comparisons in tokens of the model; what is left out or shortened is counted.
///
/// # Errors
/// Fails when the tokenizer fails.
pub fn encode_comparisons(
    comparisons: &[Comparison],
    model: &LanguageModel,
    task: &Task,
    left_out: &mut LeftOut,
) -> Result<Vec<TokenComparison>> {
    let encoded = comparisons.iter().map(|one| TokenComparison::encode(model, task, one, left_out));
    let encoded = encoded.collect::<Result<Vec<_>>>()?;
    Ok(that_tell_something(encoded.into_iter(), left_out))
}

/// Leaves out comparisons whose responses all have the same tokens, which neither train nor measure anything. A
/// comparison of which only some responses equal the best one trains, and counts as a tie for the accuracy.
fn that_tell_something(
    comparisons: impl Iterator<Item = TokenComparison>,
    left_out: &mut LeftOut,
) -> Vec<TokenComparison> {
    let tells = |one: &TokenComparison| {
        let alike = one.chosen_alike();
        let is_all = alike == one.responses.len();
        left_out.count(Reason::SameTokens, usize::from(is_all));
        left_out.count(Reason::BestHasTwin, usize::from(alike > 1 && !is_all));
        !is_all
    };
    comparisons.filter(tells).collect()
}

impl TokenComparison {
    fn encode(model: &LanguageModel, task: &Task, comparison: &Comparison, left_out: &mut LeftOut) -> Result<Self> {
        let EncodedQuery { own, whole: query } = task.encode_own_and_whole(model, &comparison.query, left_out)?;
        let mut responses = Vec::with_capacity(comparison.responses.len());
        for response in &comparison.responses {
            responses.push(task.encode_response(model, response, left_out)?);
        }
        // White space is trimmed at the ends of the text itself, which start tokens or a chat template would hide.
        let query_keys = [hash_of(comparison.query.trim()), key_of(&own, &model.tokenizer)?];
        Ok(Self { query, responses, best: comparison.best, query_keys })
    }

    /// Converts a label of the original, without its padding: a row is read at its last real token.
    fn of_label(label: &PickBest, tokenizer: &Tokenizer, left_out: &mut LeftOut) -> Result<Self> {
        let query = without_padding(&label.query);
        let responses = label.samples().map(without_padding);
        left_out.count(Reason::EmptyResponses, responses.iter().filter(|response| response.is_empty()).count());
        let query_keys = [key_of(&query, tokenizer)?; 2];
        Ok(Self { query, responses: responses.into(), best: label.best, query_keys })
    }
}

/// Returns a hash of the query that does not depend on white space at its ends.
fn key_of(query: &[u32], tokenizer: &Tokenizer) -> Result<u64> {
    Ok(hash_of(tokenizer.decode(query)?.trim()))
}
