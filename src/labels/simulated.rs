//! A sentiment classifier in the place of people.

use std::path::Path;

use crate::error::{Error, Result};
use crate::labels::{Classifier, Judgment, Labeler};
use crate::platform::files;

/// Labeler that prefers the response with the most positive sentiment, as the paper's mock labeler does.
#[derive(Debug, Clone)]
pub struct SimulatedLabeler {
    name: String,
    classifier: Classifier,
}

impl SimulatedLabeler {
    /// Creates a labeler that judges by `classifier` and is recorded as `name`.
    pub fn new(name: impl Into<String>, classifier: Classifier) -> Self {
        Self { name: name.into(), classifier }
    }

    /// Creates a labeler from a classifier in JSON; `path` names the file in errors.
    ///
    /// # Errors
    /// The errors of [`Classifier::from_json`].
    pub fn from_json(name: impl Into<String>, json: &[u8], path: &Path) -> Result<Self> {
        Ok(Self::new(name, Classifier::from_json(json, path)?))
    }

    /// Creates the labeler with the classifier that is part of the program.
    ///
    /// # Errors
    /// The errors of [`Classifier::from_json`].
    pub fn shipped() -> Result<Self> {
        let json = include_bytes!("../../models/sentiment/classifier.json");
        Self::from_json("simulated", json, Path::new("models/sentiment/classifier.json"))
    }

    /// Creates the labeler with the classifier of a file, or with the one that is part of the program.
    ///
    /// # Errors
    /// [`Error::File`] when the file cannot be read, and the errors of [`Classifier::from_json`].
    pub fn open(classifier: Option<&Path>) -> Result<Self> {
        match classifier {
            Some(path) => Self::from_json("simulated", &files::read(path)?, path),
            None => Self::shipped(),
        }
    }

    /// Returns the classifier that the labeler judges by.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }
}

impl Labeler for SimulatedLabeler {
    fn name(&self) -> &str {
        &self.name
    }

    /// Scores each response alone: the query is the same for all and would only shift every score by the same amount.
    fn judge(&mut self, _query: &str, responses: &[String]) -> Result<Judgment> {
        let scores: Vec<f64> = responses.iter().map(|response| self.classifier.score(response)).collect();
        Judgment::of_highest(&scores).ok_or_else(|| {
            Error::usage("there is no response to choose from", "give every query at least one response")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labeler() -> SimulatedLabeler {
        let json = include_bytes!("../../models/sentiment/classifier.json");
        SimulatedLabeler::from_json("simulated", json, Path::new("classifier.json")).unwrap()
    }

    fn judge(responses: &[&str]) -> Judgment {
        let responses: Vec<String> = responses.iter().map(ToString::to_string).collect();
        labeler().judge("The door opened.", &responses).unwrap()
    }

    #[test]
    fn the_most_cheerful_response_is_best() {
        let responses = [
            "She was ill and miserable, and the room was dull and cold.",
            "He took the chair by the window and read the letter.",
            "It was a wonderful, happy day, and they loved the beautiful garden.",
        ];
        let choice = judge(&responses);
        assert_eq!((choice.best, choice.tied), (2, false));
    }

    #[test]
    fn responses_without_a_known_word_tie() {
        let choice = judge(&["Xyzzy.", "Plugh!"]);
        assert_eq!((choice.best, choice.tied), (0, true));
    }

    #[test]
    fn nothing_to_choose_from_is_an_error() {
        assert_eq!(labeler().judge("q", &[]).unwrap_err().exit_code(), 2);
    }
}
