//! Contestants of a tournament, and their matches.

use crate::error::{Error, Result};
use crate::lm::LanguageModel;

/// A model that is judged.
#[derive(Debug, Clone)]
pub struct Contestant<'a> {
    pub name: String,
    pub model: &'a LanguageModel,
    /// Number of responses to each query, of which the one with the highest reward is taken.
    pub best_of: usize,
    /// Number that differs for each contestant. With that of the opponent, it decides the random numbers of a contest,
    /// so that other contestants change nothing.
    pub number: u64,
}

/// Indices of two contestants: the one that is judged, and its opponent.
pub type Match = (usize, usize);

/// Pairs the first contestant with each of the others, or all contestants with each other.
pub fn matches(contestants: usize, all_pairs: bool) -> Vec<Match> {
    let firsts = if all_pairs { contestants } else { contestants.min(1) };
    (0..firsts).flat_map(|one| (one + 1..contestants).map(move |other| (one, other))).collect()
}

/// The contestants, and the model from which KL is measured.
pub struct Lineup<'a> {
    pub contestants: Vec<Contestant<'a>>,
    /// The first baseline.
    pub reference: &'a LanguageModel,
}

/// Returns a contestant for each of these models, the judged one before its baselines, and one for the best of several
/// responses of the first baseline, if that is asked for. A name that occurs again gets a number, such as `model (2)`,
/// because results are told apart by name.
///
/// # Errors
/// [`Error::Usage`] without a baseline or with another number of names than of models, and [`Error::Input`] for a model
/// with another tokenizer than the first baseline.
pub fn line_up<'a>(models: &'a [LanguageModel], names: &[String], best_of: Option<usize>) -> Result<Lineup<'a>> {
    let ([_, reference, ..], [_, name_of_reference, ..]) = (models, names) else {
        return Err(Error::usage("there is nothing to compare with", "give --baseline a model"));
    };
    if models.len() != names.len() {
        return Err(Error::usage(
            format!("{} models have {} names", models.len(), names.len()),
            "name each model once",
        ));
    }
    if let Some((_, name)) =
        models.iter().zip(names).find(|(model, _)| !model.tokenizer.is_same_as(&reference.tokenizer))
    {
        return Err(Error::input(
            name.as_ref(),
            format!("this model has another tokenizer than {name_of_reference}"),
            "give --baseline the model that --model was tuned from, and others with its tokenizer",
        ));
    }
    // Number 2 is kept for the best of N, so that the random numbers of the other contestants do not depend
    // on it.
    let numbers = [0, 1].into_iter().chain(3..);
    let best = best_of.map(|best_of| (format!("best of {best_of} of {name_of_reference}"), reference, best_of));
    let names = distinct(names.iter().cloned().chain(best.iter().map(|(name, ..)| name.clone())).collect());
    let (names_of_models, name_of_best) = names.split_at(models.len());
    let contestant =
        |((model, name), number): ((_, &String), u64)| Contestant { name: name.clone(), model, best_of: 1, number };
    let mut contestants: Vec<Contestant<'_>> =
        models.iter().zip(names_of_models).zip(numbers).map(contestant).collect();
    contestants.extend(best.zip(name_of_best.first()).map(|((_, model, best_of), name)| Contestant {
        name: name.clone(),
        model,
        best_of,
        number: 2,
    }));
    Ok(Lineup { contestants, reference })
}

/// Adds a number to each name that occurs earlier in the list.
fn distinct(names: Vec<String>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for name in &names {
        let numbered = (2..).map(|number| format!("{name} ({number})"));
        let free = |one: &String| !distinct.contains(one) && (one == name || !names.contains(one));
        let name = std::iter::once(name.clone()).chain(numbered).find(free).unwrap_or_default();
        distinct.push(name);
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A missing name once gave its model the name of the best of N.
    #[test]
    fn a_model_without_a_name_is_refused() {
        let model = || {
            let files = crate::lm::files::shipped(crate::lm::STORYTELLER).unwrap().unwrap();
            LanguageModel::load(files, &crate::device::host()).unwrap()
        };
        let (models, names) = ([model(), model(), model()], ["tuned".to_string(), "before".to_string()]);
        let error = line_up(&models, &names, Some(4)).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("3 models have 2 names"), "{error}");
    }

    #[test]
    fn a_name_that_occurs_again_gets_a_number() {
        let numbered = |names: &[&str]| distinct(names.iter().map(|name| name.to_string()).collect());
        assert_eq!(numbered(&["a", "b", "a", "a"]), ["a", "b", "a (2)", "a (3)"]);
        assert_eq!(numbered(&["a", "a (2)", "a"]), ["a", "a (2)", "a (3)"]);
    }
}
