//! Training of a classifier, and its accuracy on held-out sentences.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::ngrams::words_only;
use super::{Classifier, FitSettings, Provenance};
use crate::device::DeviceMemory;
use crate::error::{Error, Result};
use crate::statistics::wilson_interval;
use crate::training::memory::Memory;

/// Sentences of known sentiment, one an entry.
#[derive(Debug, Clone, Copy)]
pub struct LabeledSentences<'a> {
    /// Name and licence of the sentences, as the classifier's file records them.
    pub source: &'a str,
    pub positive: &'a [&'a str],
    pub negative: &'a [&'a str],
}

/// Accuracy of a classifier on held-out sentences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// The share of right answers, 0 to 1.
    pub accuracy: f64,
    /// Lower end of the 95% Wilson interval around `accuracy`.
    pub low: f64,
    /// Upper end of the 95% Wilson interval around `accuracy`.
    pub high: f64,
    /// Number of held-out sentences.
    pub examples: usize,
}

/// Sentences of each sentiment.
#[derive(Debug, Default)]
struct Part<'a> {
    positive: Vec<&'a str>,
    negative: Vec<&'a str>,
}

impl<'a> Part<'a> {
    fn push(&mut self, sentence: &'a str, positive: bool) {
        let side = if positive { &mut self.positive } else { &mut self.negative };
        side.push(sentence);
    }
}

/// Bytes on the host for each byte of the sentences, which are read whole and held as words and pairs of words.
const OF_A_BYTE: u64 = 25;

/// Returns the memory that training on sentences of `bytes` bytes takes.
///
/// # Errors
/// Fails when the sentences do not fit into `device_memory`.
pub fn memory_that_fits(bytes: u64, device_memory: DeviceMemory) -> Result<Memory> {
    let memory = Memory { kept: bytes.saturating_mul(OF_A_BYTE), ..Memory::default() };
    memory.that_fits(device_memory, "give fewer sentences")
}

/// Trains a classifier with the default settings on all but a random `held_out_fraction` of `sentences`, and measures
/// its accuracy on those. `progress` receives the number of passes done and the number of all passes.
///
/// # Errors
/// [`Error::Usage`] if there are no sentences of one sentiment or the held-out set is empty, and the errors of
/// [`Classifier::fit`].
pub fn train_with_held_out(
    sentences: LabeledSentences,
    held_out_fraction: f64,
    seed: u64,
    progress: impl FnMut(usize, usize),
) -> Result<(Classifier, HeldOut)> {
    for (side, lines) in [("positive", sentences.positive), ("negative", sentences.negative)] {
        if lines.iter().all(|line| line.trim().is_empty()) {
            return Err(Error::usage(
                format!("there is no {side} sentence"),
                "give sentences of both kinds, one per line",
            ));
        }
    }
    let (training, held_out) = split(sentences, held_out_fraction, seed);
    let settings = FitSettings::default();
    let mut classifier = Classifier::fit(&training.positive, &training.negative, &settings, progress)?;
    let Some(accuracy) = classifier.accuracy(&held_out.positive, &held_out.negative) else {
        return Err(Error::usage(
            format!("a share of {held_out_fraction} holds out no sentence to measure on"),
            "hold out more, or give more sentences",
        ));
    };
    let examples = held_out.positive.len() + held_out.negative.len();
    classifier.provenance = Some(Provenance {
        source: sentences.source.to_owned(),
        seed,
        held_out_accuracy: accuracy,
        held_out_examples: examples,
    });
    let interval = wilson_interval(accuracy * examples as f64, examples);
    let measured = HeldOut { accuracy, low: interval.low, high: interval.high, examples };
    Ok((classifier, measured))
}

impl LabeledSentences<'_> {
    /// Returns the number of sentences that are both positive and negative and therefore teach nothing; copies count
    /// once.
    pub fn of_both_kinds(&self) -> usize {
        let words = |lines: &[&str]| lines.iter().map(|line| words_only(line)).collect::<BTreeSet<String>>();
        words(self.positive).intersection(&words(self.negative)).count()
    }
}

/// Splits the sentences at random into a training set and a held-out set.
///
/// Copies of a sentence go to the same set; otherwise the accuracy would reward memorized sentences.
fn split<'a>(sentences: LabeledSentences<'a>, held_out_fraction: f64, seed: u64) -> (Part<'a>, Part<'a>) {
    let mut copies: BTreeMap<String, Vec<(&str, bool)>> = BTreeMap::new();
    for (lines, positive) in [(sentences.positive, true), (sentences.negative, false)] {
        for line in lines {
            let same = copies.entry(words_only(line)).or_default();
            same.push((line, positive));
        }
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut dealt: Vec<(u64, Vec<(&str, bool)>)> = copies.into_values().map(|same| (random.next_u64(), same)).collect();
    dealt.sort_by_key(|&(order, _)| order);
    let held_out_count = (dealt.len() as f64 * held_out_fraction).round() as usize;
    let (mut training, mut held_out) = (Part::default(), Part::default());
    for (position, (_, same)) in dealt.into_iter().enumerate() {
        let part = if position < held_out_count { &mut held_out } else { &mut training };
        for (sentence, positive) in same {
            part.push(sentence, positive);
        }
    }
    (training, held_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_classifier_of_one_sentiment_is_refused() {
        let sentences = LabeledSentences { source: "", positive: &["  "], negative: &["so bad .", "bad again ."] };
        let error = train_with_held_out(sentences, 0.5, 1, |_, _| ()).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.exit_code()), ("there is no positive sentence", 2));
    }

    #[test]
    fn copies_of_a_sentence_stay_on_one_side() {
        let plain: Vec<String> = (0..200).map(|n| format!("sentence {n}")).collect();
        let shouted: Vec<String> = plain.iter().map(|s| format!("{}!", s.to_uppercase())).collect();
        let positive: Vec<&str> = plain.iter().map(String::as_str).collect();
        let negative: Vec<&str> = shouted.iter().map(String::as_str).collect();
        let sentences = LabeledSentences { source: "test", positive: &positive, negative: &negative };
        let (training, held_out) = split(sentences, 0.1, 7);
        assert_eq!((training.positive.len(), held_out.positive.len()), (180, 20));
        for copy in &held_out.negative {
            let original = copy.trim_end_matches('!').to_lowercase();
            assert!(held_out.positive.contains(&original.as_str()), "{copy}");
        }
        assert_eq!(held_out.positive, split(sentences, 0.1, 7).1.positive);
        assert_ne!(held_out.positive, split(sentences, 0.1, 8).1.positive);
    }

    #[test]
    fn the_same_training_gives_the_same_file() {
        let positive: Vec<String> = (0..50).map(|n| format!("a lovely story {n}")).collect();
        let negative: Vec<String> = (0..50).map(|n| format!("an awful story {n}")).collect();
        let positive: Vec<&str> = positive.iter().map(String::as_str).collect();
        let negative: Vec<&str> = negative.iter().map(String::as_str).collect();
        let sentences = LabeledSentences { source: "test", positive: &positive, negative: &negative };
        let train = || train_with_held_out(sentences, 0.1, 1, |_, _| ()).unwrap();
        let (classifier, measured) = train();
        assert_eq!((measured.accuracy, measured.examples), (1.0, 10));
        assert!(measured.low < 0.8 && measured.high > 0.999);
        assert_eq!(classifier.to_json().unwrap(), train().0.to_json().unwrap());
        let nothing_held_out = train_with_held_out(sentences, 0.0, 1, |_, _| ());
        assert_eq!(nothing_held_out.unwrap_err().exit_code(), 2);
    }
}
