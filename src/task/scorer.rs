//! Scorers of responses in the policy loop: a reward model, a function of texts, a weighted sum of several.

use burn::tensor::Tensor;

use super::texts::Texts;
use crate::device::Readback;
use crate::error::{Error, Result};
use crate::lm::{MicroBatches, Responses, Tokenizer};

/// Scores, one for each response.
#[derive(Debug)]
pub enum Scores {
    OnHost(Vec<f64>),
    /// `[rows]` of each micro-batch, still on the device, so that one read may bring them with other tensors.
    OnDevice(Vec<Tensor<1>>),
}

impl Scores {
    /// Reads the scores, `[rows]`.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails, [`Error::Failed`] for a score that is not finite.
    pub fn read(self) -> Result<Vec<f64>> {
        let scores = match self {
            Self::OnHost(scores) => scores,
            Self::OnDevice(micro_batches) => {
                Readback::default().with_all(micro_batches).floats()?.concat().into_iter().map(f64::from).collect()
            }
        };
        match scores.iter().find(|score| !score.is_finite()) {
            None => Ok(scores),
            Some(score) => Err(Error::failed(
                format!("the score of a response is {score}"),
                "scores must be finite numbers; use another copy of the reward model, or train it again with a lower \
                 reward.learning_rate",
            )),
        }
    }
}

/// Scorer of responses: higher is better. The policy's reward is the score minus β times the KL divergence.
pub trait Scorer {
    /// Scores each of these responses. Queries come without the task's prefix and suffix, and responses are
    /// truncated by its rule, as the reward model reads both: without padding, and without a token with which the
    /// model ended the response.
    ///
    /// # Errors
    /// Fails when the responses cannot be scored, and with the errors of
    /// [`crate::platform::interrupt::Interrupt::check`].
    fn score(&self, responses: Responses<'_>, micro_batches: &MicroBatches) -> Result<Scores>;
}

/// Function of (query, response) texts as a [`Scorer`]. A query comes without the tokens that begin a text, and without
/// the chat template around it.
pub struct TextScorer<F> {
    texts: Texts,
    score: F,
}

impl<F: Fn(&[(String, String)]) -> Result<Vec<f64>>> TextScorer<F> {
    /// Creates a scorer from `score`, which gives one number for each pair of texts; `tokenizer` is that of the
    /// policy.
    pub fn new(tokenizer: &Tokenizer, score: F) -> Self {
        Self { texts: Texts::new(tokenizer), score }
    }
}

impl<F: Fn(&[(String, String)]) -> Result<Vec<f64>>> Scorer for TextScorer<F> {
    fn score(&self, responses: Responses<'_>, _micro_batches: &MicroBatches) -> Result<Scores> {
        let texts = self.texts.pairs(responses)?;
        let scores = (self.score)(&texts)?;
        if scores.len() != texts.len() {
            let what = format!("{} responses were given {} scores", texts.len(), scores.len());
            return Err(Error::failed(what, "give each response one score"));
        }
        Ok(Scores::OnHost(scores))
    }
}

/// Sum of several scores, each times its weight.
pub struct WeightedSum<'a>(pub Vec<(f64, &'a dyn Scorer)>);

impl Scorer for WeightedSum<'_> {
    fn score(&self, responses: Responses<'_>, micro_batches: &MicroBatches) -> Result<Scores> {
        let mut sums = vec![0.0; responses.len()];
        for (weight, scorer) in &self.0 {
            let scores = scorer.score(responses, micro_batches)?.read()?;
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += weight * score);
        }
        Ok(Scores::OnHost(sums))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lm::MicroBatches;
    use crate::models;

    #[test]
    fn functions_of_texts_are_weighed_into_one_score() {
        let model = models::open("storyteller", &crate::device::host()).unwrap();
        let encode = |text: &str| model.tokenizer.encode(text).unwrap();
        let (queries, responses) = ([encode("One."), encode("Two.")], [encode(" a b"), encode("")]);
        let asked = Responses::new(&queries, &responses);
        let length = TextScorer::new(&model.tokenizer, |texts: &[(String, String)]| {
            Ok(texts.iter().map(|(_, response)| response.len() as f64).collect())
        });
        let is_two = TextScorer::new(&model.tokenizer, |texts: &[(String, String)]| {
            Ok(texts.iter().map(|(query, _)| f64::from(u8::from(query == "Two."))).collect())
        });
        let sum = WeightedSum(vec![(0.5, &length), (10.0, &is_two)]);
        assert_eq!(sum.score(asked, &MicroBatches::of(1)).unwrap().read().unwrap(), [2.0, 10.0]);
        let short = TextScorer::new(&model.tokenizer, |_: &[(String, String)]| Ok(vec![1.0]));
        let error = short.score(asked, &MicroBatches::of(1)).unwrap_err();
        assert_eq!(error.to_string(), "2 responses were given 1 scores");
        assert!(Scores::OnHost(vec![f64::NAN]).read().is_err());
    }
}
