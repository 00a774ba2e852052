//! Logistic regression over n-grams scaled by their log-count ratios: "NB-SVM" of Wang and
//! Manning (2012), *Baselines and Bigrams*, with the logistic loss in place of the hinge.

use std::collections::{BTreeMap, BTreeSet};

use super::{Classifier, NgramKind};
use crate::error::{Error, Result};

/// Learning rate of AdaGrad, which is the size of a weight's first step.
const LEARNING_RATE: f64 = 0.1;

/// Settings for training a classifier on sentences alone. The shipped one was trained otherwise: `models/README.md`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitSettings {
    /// Smallest number of sentences with an n-gram for the n-gram to count.
    pub minimum_count: usize,
    /// Number added to every count before the log-count ratio is taken (α in the paper). It is above the paper's 1,
    /// because a rare name must not outweigh a common word of praise.
    pub smoothing: f64,
    /// Strength of the penalty ½·l2·‖w‖² against the summed loss.
    pub l2: f64,
    /// Share of the trained weights in the result (β in the paper); the rest is naive Bayes.
    pub interpolation: f64,
    /// Number of passes over all sentences; the loss has settled long before the default is reached.
    pub iterations: usize,
}

impl Default for FitSettings {
    fn default() -> Self {
        Self { minimum_count: 3, smoothing: 2.0, l2: 1.0, interpolation: 0.5, iterations: 100 }
    }
}

/// Sentence as the indices of its n-grams.
struct Example {
    features: Vec<usize>,
    positive: bool,
}

impl Classifier {
    /// Trains a classifier to tell `positive` from `negative` sentences.
    ///
    /// Training uses no random numbers: the same sentences give the same classifier, in any order up to rounding.
    /// `progress` receives the number of passes done and the number of all passes.
    ///
    /// # Errors
    /// [`Error::Usage`] if no n-gram is frequent enough to learn from.
    pub fn fit(
        positive: &[&str],
        negative: &[&str],
        settings: &FitSettings,
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Self> {
        let kind = NgramKind::Adjacent;
        let positive = positive.iter().map(|sentence| (kind.of(sentence), true));
        let negative = negative.iter().map(|sentence| (kind.of(sentence), false));
        let sentences: Vec<(BTreeSet<String>, bool)> = positive.chain(negative).collect();
        let counts = count(&sentences, settings.minimum_count);
        if counts.is_empty() {
            return Err(Error::usage(
                format!("no word occurs in {} sentences or more, and only such words count", settings.minimum_count),
                "give more sentences, one per line",
            ));
        }
        let ratios = log_count_ratios(&counts, settings.smoothing);
        let examples = index(&sentences, &counts);
        let mut regression = Regression::new(ratios.len());
        for pass in 1..=settings.iterations {
            regression.step(&examples, &ratios, settings.l2);
            progress(pass, settings.iterations);
        }
        let weights = interpolate(&regression.weights, settings.interpolation);
        let weights = weights.zip(&ratios).map(|(weight, ratio)| weight * ratio);
        let ngrams = counts.keys().map(|&ngram| ngram.to_owned());
        Ok(Self::new(kind, regression.bias, ngrams.zip(weights)))
    }
}

/// Counts, for each frequent n-gram, the (negative, positive) sentences that have it.
fn count(sentences: &[(BTreeSet<String>, bool)], minimum: usize) -> BTreeMap<&str, (usize, usize)> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (ngrams, positive) in sentences {
        for ngram in ngrams {
            let (negatives, positives) = counts.entry(ngram).or_default();
            *if *positive { positives } else { negatives } += 1;
        }
    }
    counts.retain(|_, (negatives, positives)| *negatives + *positives >= minimum);
    counts
}

/// Returns r = log((p / ‖p‖₁) / (q / ‖q‖₁)), where p and q are the smoothed counts in positive and negative sentences
/// (section 2 of the paper).
fn log_count_ratios(counts: &BTreeMap<&str, (usize, usize)>, smoothing: f64) -> Vec<f64> {
    let smoothed = |count: usize| count as f64 + smoothing;
    let all_negative: f64 = counts.values().map(|&(negative, _)| smoothed(negative)).sum();
    let all_positive: f64 = counts.values().map(|&(_, positive)| smoothed(positive)).sum();
    counts
        .values()
        .map(|&(negative, positive)| {
            (smoothed(positive) / all_positive).ln() - (smoothed(negative) / all_negative).ln()
        })
        .collect()
}

fn index(sentences: &[(BTreeSet<String>, bool)], counts: &BTreeMap<&str, (usize, usize)>) -> Vec<Example> {
    let indices: BTreeMap<&str, usize> = counts.keys().copied().zip(0..).collect();
    sentences
        .iter()
        .map(|(ngrams, positive)| Example {
            features: ngrams.iter().filter_map(|ngram| indices.get(ngram.as_str()).copied()).collect(),
            positive: *positive,
        })
        .collect()
}

/// Returns w′ = (1 − β)·w̄ + β·w, where w̄ is the mean magnitude (section 2.3 of the paper).
fn interpolate(weights: &[f64], share: f64) -> impl Iterator<Item = f64> {
    let mean_magnitude = weights.iter().map(|w| w.abs()).sum::<f64>() / weights.len() as f64;
    weights.iter().map(move |weight| (1.0 - share) * mean_magnitude + share * weight)
}

/// Full-batch AdaGrad on the penalized logistic loss.
struct Regression {
    weights: Vec<f64>,
    bias: f64,
    squared_gradients: Vec<f64>,
    squared_bias_gradient: f64,
}

impl Regression {
    fn new(features: usize) -> Self {
        Self {
            weights: vec![0.0; features],
            bias: 0.0,
            squared_gradients: vec![0.0; features],
            squared_bias_gradient: 0.0,
        }
    }

    /// Takes one step down the gradient of the loss summed over `examples`; a feature that is present has the value of
    /// its ratio.
    fn step(&mut self, examples: &[Example], ratios: &[f64], l2: f64) {
        let mut gradients: Vec<f64> = self.weights.iter().map(|weight| l2 * weight).collect();
        let mut bias_gradient = 0.0;
        for example in examples {
            let error = self.probability(example, ratios) - f64::from(u8::from(example.positive));
            for &feature in &example.features {
                if let (Some(gradient), Some(ratio)) = (gradients.get_mut(feature), ratios.get(feature)) {
                    *gradient += error * ratio;
                }
            }
            bias_gradient += error;
        }
        adagrad(&mut self.bias, &mut self.squared_bias_gradient, bias_gradient);
        let state = self.weights.iter_mut().zip(&mut self.squared_gradients);
        for ((weight, squared), gradient) in state.zip(gradients) {
            adagrad(weight, squared, gradient);
        }
    }

    fn probability(&self, example: &Example, ratios: &[f64]) -> f64 {
        let value = |&feature: &usize| Some(self.weights.get(feature)? * ratios.get(feature)?);
        let log_odds = self.bias + example.features.iter().filter_map(value).sum::<f64>();
        1.0 / (1.0 + (-log_odds).exp())
    }
}

fn adagrad(parameter: &mut f64, squared_gradients: &mut f64, gradient: f64) {
    *squared_gradients += gradient * gradient;
    if *squared_gradients > 0.0 {
        *parameter -= LEARNING_RATE * gradient / squared_gradients.sqrt();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_agree_with_the_papers_formula() {
        let counts = BTreeMap::from([("bad", (5, 0)), ("good", (1, 3))]);
        let ratios = log_count_ratios(&counts, 1.0);
        // p = (1, 4), q = (6, 2): log((1/5)/(6/8)) and log((4/5)/(2/8)).
        assert!((ratios[0] - (0.2_f64 / 0.75).ln()).abs() < 1e-12);
        assert!((ratios[1] - (0.8_f64 / 0.25).ln()).abs() < 1e-12);
    }

    #[test]
    fn what_only_praise_says_is_positive() {
        let positive = ["a good tale", "good and kind", "a kind king", "good king , kind tale"];
        let negative = ["a bad tale", "bad and cruel", "a cruel king", "bad king , cruel tale"];
        let settings = FitSettings::default();
        let mut passes = 0;
        let classifier = Classifier::fit(&positive, &negative, &settings, |done, _| passes = done).unwrap();
        assert_eq!(passes, settings.iterations);
        assert!(classifier.score("The good, kind man.") > classifier.score("The king’s tale."));
        assert!(classifier.score("The bad, cruel man.") < classifier.score("The king’s tale."));
        assert_eq!(classifier.accuracy(&positive, &negative), Some(1.0));
    }

    #[test]
    fn too_few_sentences_are_refused() {
        let fit = Classifier::fit(&["good"], &["bad"], &FitSettings::default(), |_, _| ());
        assert!(fit.unwrap_err().to_string().contains("3 sentences"));
    }
}
