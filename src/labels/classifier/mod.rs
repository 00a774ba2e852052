//! Sentiment classifier: a linear model over words and word pairs.
//!
//! The simulated labeler judges by it, in the place of the paper's sentiment classifier (section 3.1). It is small
//! enough to ship and to read.

mod fit;
mod held_out;
mod ngrams;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::format_version;
use crate::format_version::FormatVersion;
use crate::json;

pub use fit::FitSettings;
pub use held_out::{HeldOut, LabeledSentences, memory_that_fits, train_with_held_out};
pub use ngrams::NgramKind;

/// Sizes of n-grams in words; the file records them, so that it explains itself.
const NGRAM_SIZES: [usize; 2] = [1, 2];

/// Largest valid weight: training gives none beyond it, and the sum of many could overflow.
const LARGEST_WEIGHT: f64 = 1e6;

/// Scale that rounds a weight to four decimals: later ones differ from machine to machine.
const WEIGHT_SCALE: f64 = 1e4;

const RETRAIN: &str = "train the labeler again to replace the file";

/// Classifier of the sentiment of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    #[serde(default)]
    version: FormatVersion,
    ngram_sizes: [usize; 2],
    /// Kind of the n-grams; a file that does not name it is of the default kind.
    #[serde(default, skip_serializing_if = "NgramKind::is_default")]
    ngrams: NgramKind,
    /// Origin of the weights; `None` for a classifier trained without a held-out set.
    pub provenance: Option<Provenance>,
    bias: f64,
    weights: BTreeMap<String, f64>,
}

/// Training sentences of a classifier, and its accuracy on held-out ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Name and licence of the training sentences.
    pub source: String,
    /// The seed that chose the sentences held out.
    pub seed: u64,
    /// Share of right answers on the held-out sentences, 0 to 1.
    pub held_out_accuracy: f64,
    pub held_out_examples: usize,
}

impl Classifier {
    fn new(ngrams: NgramKind, bias: f64, weights: impl Iterator<Item = (String, f64)>) -> Self {
        let rounded = |value: f64| (value * WEIGHT_SCALE).round() / WEIGHT_SCALE;
        Self {
            version: FormatVersion,
            ngram_sizes: NGRAM_SIZES,
            ngrams,
            provenance: None,
            bias: rounded(bias),
            weights: weights
                .map(|(ngram, weight)| (ngram, rounded(weight)))
                .filter(|&(_, weight)| weight != 0.0)
                .collect(),
        }
    }

    /// Returns the log-odds that `text` is positive: above 0 for positive, below for negative.
    ///
    /// Each n-gram counts once, however often it is repeated.
    pub fn score(&self, text: &str) -> f64 {
        let ngrams = self.ngrams.of(text);
        let known = ngrams.iter().filter_map(|ngram| self.weights.get(ngram));
        self.bias + known.sum::<f64>()
    }

    /// Returns the share of sentences on the right side of 0, where a score of 0 counts half; `None` if there are no
    /// sentences.
    pub fn accuracy(&self, positive: &[&str], negative: &[&str]) -> Option<f64> {
        let right = |score: f64| match score {
            0.0 => 0.5,
            score => f64::from(u8::from(score > 0.0)),
        };
        let positives = positive.iter().map(|text| right(self.score(text)));
        let right = positives.chain(negative.iter().map(|text| right(-self.score(text)))).sum::<f64>();
        let all = positive.len() + negative.len();
        (all > 0).then(|| right / all as f64)
    }

    /// Returns the kind of the n-grams that have weights.
    pub fn ngram_kind(&self) -> NgramKind {
        self.ngrams
    }

    /// Returns every n-gram with its weight in log-odds, in alphabetical order.
    pub fn weights(&self) -> impl Iterator<Item = (&str, f64)> {
        self.weights.iter().map(|(ngram, weight)| (ngram.as_str(), *weight))
    }

    /// Returns the classifier as a JSON file, one weight per line in alphabetical order.
    ///
    /// # Errors
    /// [`Error::Failed`] if the classifier cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| Error::failed(format!("cannot write the classifier as JSON: {error}"), ""))?;
        Ok(json + "\n")
    }

    /// Reads the JSON of [`Classifier::to_json`]; `path` names the file in errors.
    ///
    /// # Errors
    /// [`Error::Input`] if the bytes are no such file: not JSON, an unknown field, n-grams of other sizes or of an
    /// unknown kind, no weight, or a number out of range.
    pub fn from_json(json: &[u8], path: &Path) -> Result<Self> {
        let classifier: Self = json::from_slice(json).map_err(|error| match format_version::fault_of(json) {
            Some(fault) => Error::input(path, fault, format_version::NEWER_HINT),
            None => Error::line(path, error.line(), error.to_string(), RETRAIN),
        })?;
        match classifier.defect() {
            Some(defect) => Err(Error::input(path, defect, RETRAIN)),
            None => Ok(classifier),
        }
    }

    /// Returns what makes the numbers unusable, if anything does.
    fn defect(&self) -> Option<String> {
        if self.ngram_sizes != NGRAM_SIZES {
            let sizes = self.ngram_sizes;
            return Some(format!("has n-grams of sizes {sizes:?}; only {NGRAM_SIZES:?} are known"));
        }
        if self.weights.is_empty() {
            return Some("has no weights".into());
        }
        // Written so that NaN is out of range as well.
        let in_range = |number: f64| number.abs() <= LARGEST_WEIGHT;
        if !in_range(self.bias) {
            return Some(format!("the bias {} is out of range", self.bias));
        }
        let (ngram, weight) = self.weights().find(|&(_, weight)| !in_range(weight))?;
        Some(format!("the weight {weight} of {ngram:?} is out of range"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SHIPPED: &[u8] = include_bytes!("../../../models/sentiment/classifier.json");

    fn read(json: &[u8]) -> Result<Classifier> {
        Classifier::from_json(json, Path::new("classifier.json"))
    }

    #[test]
    fn the_shipped_file_is_read_and_written_unchanged() {
        let classifier = read(SHIPPED).unwrap();
        assert_eq!(classifier.to_json().unwrap().as_bytes(), SHIPPED);
        assert!(classifier.provenance.unwrap().held_out_accuracy >= 0.75);
        assert!(SHIPPED.len() < 600_000);
    }

    #[test]
    fn cheerful_stories_score_above_neutral_ones_and_gloomy_ones_below() {
        let cheerful = [
            "“What a beautiful morning!” she cried, with a warm and happy smile.",
            "They lived together in the lovely old house, and were always cheerful and kind.",
            "It was a wonderful dinner, full of laughter, and everyone enjoyed the music.",
        ];
        let neutral = [
            "He walked across the room and put the letter upon the table.",
            "The carriage stopped at the corner, and two men stepped into the street.",
            "She took off her bonnet and sat by the window until the clock struck.",
        ];
        let gloomy = [
            "He was a miserable, stupid fellow, and the whole place was dull and ugly.",
            "She lay ill and tired in the cold dark room, and nothing could be worse.",
            "“It is a wretched waste,” he said bitterly, “and you have failed badly.”",
        ];
        let classifier = read(SHIPPED).unwrap();
        let scores = |texts: [&str; 3]| texts.map(|text| classifier.score(text));
        let lowest = |texts| scores(texts).into_iter().fold(f64::INFINITY, f64::min);
        let highest = |texts| scores(texts).into_iter().fold(f64::NEG_INFINITY, f64::max);
        assert!(lowest(cheerful) > highest(neutral), "{:?} {:?}", scores(cheerful), scores(neutral));
        assert!(lowest(neutral) > highest(gloomy), "{:?} {:?}", scores(neutral), scores(gloomy));
    }

    #[test]
    fn the_happier_of_two_story_sentences_scores_higher_in_nine_pairs_of_ten() {
        let pairs = include_str!("../../../tests/fixtures/story_pairs.tsv");
        let classifier = read(SHIPPED).unwrap();
        let is_wrong = |pair: &&str| {
            let (happier, other) = pair.split_once('\t').unwrap();
            classifier.score(happier) <= classifier.score(other)
        };
        let wrong: Vec<&str> = pairs.lines().filter(is_wrong).collect();
        assert_eq!(pairs.lines().count(), 50);
        assert!(wrong.len() <= 5, "{wrong:#?}");
    }

    /// N-grams of a text, and its score by the shipped classifier, as `models/sentiment/classifier.py` has them.
    #[derive(Deserialize)]
    struct Scored {
        text: String,
        adjacent: BTreeSet<String>,
        content: BTreeSet<String>,
        score: f64,
    }

    #[test]
    fn texts_are_split_and_scored_as_in_the_training() {
        let scored = include_str!("../../../tests/fixtures/labeler/scores.json");
        let scored: Vec<Scored> = serde_json::from_str(scored).unwrap();
        assert!(scored.len() >= 12);
        let classifier = read(SHIPPED).unwrap();
        assert_eq!(classifier.ngram_kind(), NgramKind::Content);
        for Scored { text, adjacent, content, score } in scored {
            assert_eq!(NgramKind::Adjacent.of(&text), adjacent, "{text}");
            assert_eq!(NgramKind::Content.of(&text), content, "{text}");
            assert!((classifier.score(&text) - score).abs() < 1e-9, "{text}: {}", classifier.score(&text));
        }
    }

    #[test]
    fn a_file_without_the_kind_of_its_ngrams_scores_by_adjacent_ones() {
        let score = |kind: &str| {
            let weights = r#"{"happy":1,"not happy":-4}"#;
            let json = format!(r#"{{"ngram_sizes":[1,2],{kind}"provenance":null,"bias":0.5,"weights":{weights}}}"#);
            read(json.as_bytes()).unwrap().score("She was not happy.")
        };
        assert_eq!(score(""), -2.5);
        assert_eq!(score(r#""ngrams":"adjacent","#), -2.5);
        assert_eq!(score(r#""ngrams":"content","#), -3.5);
    }

    #[test]
    fn sentences_without_a_known_word_count_half() {
        let classifier = Classifier::new(NgramKind::Adjacent, 0.0, [("good".to_string(), 1.0)].into_iter());
        assert_eq!(classifier.accuracy(&["good", "table"], &["table", "chair"]), Some(2.5 / 4.0));
    }

    #[test]
    fn repeating_a_word_does_not_pay() {
        let classifier = read(SHIPPED).unwrap();
        assert_eq!(classifier.score("Wonderful!"), classifier.score("Wonderful! Wonderful!"));
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        let file = |fields: &str| format!(r#"{{"provenance":null,{fields}}}"#);
        let cases = [
            (file(r#""ngram_sizes":[1,3],"bias":0,"weights":{"good":1}"#), "sizes [1, 3]"),
            (file(r#""ngram_sizes":[1,2],"ngrams":"characters","bias":0,"weights":{"good":1}"#), "characters"),
            (file(r#""ngram_sizes":[1,2],"ngrams":null,"bias":0,"weights":{"good":1}"#), "line 1"),
            (file(r#""ngram_sizes":[1,2],"bias":0,"weights":{}"#), "no weights"),
            (file(r#""ngram_sizes":[1,2],"bias":1e300,"weights":{"good":1}"#), "bias"),
            (file(r#""ngram_sizes":[1,2],"bias":0,"weights":{"good":-1e300}"#), "\"good\""),
            (file(r#""ngram_sizes":[1,2],"bias":0,"weights":{},"layers":1"#), "unknown field"),
            ("{\"bias\":\n\"high\"}".into(), "line 2"),
            (String::new(), "EOF"),
        ];
        for (json, reason) in cases {
            let error = read(json.as_bytes()).unwrap_err();
            assert_eq!(error.exit_code(), 4);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
