//! Words and word pairs of a text, which are the features of the classifier.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Kind of the n-grams that a classifier was trained on, by which it scores.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NgramKind {
    /// Content words, and pairs of adjacent words of which at least one is a content word.
    #[default]
    Adjacent,
    /// Content words, and pairs of them across the function words between. A word after a negation counts only in the
    /// pair with it.
    Content,
}

impl NgramKind {
    /// Returns the distinct n-grams of `text`, with a space between the words of a pair.
    ///
    /// A content word is neither a function word nor a number.
    pub(super) fn of(self, text: &str) -> BTreeSet<String> {
        match self {
            Self::Adjacent => adjacent_ngrams(text),
            Self::Content => content_ngrams(text),
        }
    }

    /// Checks for the kind that a file need not name.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Words that tell reviews apart by person and tense, not by sentiment. A story is told in the past tense and in the
/// first or third person, so that these words would decide too much. They are sorted for binary search.
#[rustfmt::skip]
const FUNCTION_WORDS: &[&str] = &[
    "a", "about", "above", "across", "after", "again", "against", "all", "along", "although", "am", "among", "an",
    "and", "another", "any", "are", "as", "at", "be", "because", "been", "before", "behind", "being", "below",
    "between", "beyond", "both", "but", "by", "can", "could", "did", "do", "does", "doing", "down", "during",
    "each", "either", "else", "even", "ever", "every", "for", "from", "had", "has", "have", "having", "he", "her",
    "here", "hers", "herself", "him", "himself", "his", "how", "i", "if", "in", "into", "is", "it", "its", "itself",
    "just", "let", "many", "may", "me", "might", "mine", "more", "most", "much", "must", "my", "myself", "near",
    "neither", "never", "no", "nor", "not", "now", "of", "off", "on", "one", "ones", "only", "or", "other", "ought",
    "our", "ours", "ourselves", "out", "over", "shall", "she", "should", "since", "so", "some", "still", "such",
    "than", "that", "the", "their", "theirs", "them", "themselves", "then", "there", "these", "they", "this",
    "those", "though", "through", "to", "too", "toward", "towards", "under", "unless", "until", "up", "upon", "us",
    "very", "was", "we", "were", "what", "when", "where", "whether", "which", "while", "who", "whom", "whose",
    "why", "will", "with", "within", "without", "would", "yet", "you", "your", "yours", "yourself",
];

/// Function words that turn the meaning of the content word after them, sorted for binary search.
const NEGATIONS: &[&str] = &["neither", "never", "no", "nor", "not", "without"];

/// Returns the content words and the pairs of adjacent words; `not good` is one of the pairs.
///
/// Function words, numbers, and pairs made only of them are left out.
fn adjacent_ngrams(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for phrase in phrases(text) {
        for pair in phrase.windows(2) {
            if pair.iter().any(|word| is_content(word)) {
                found.insert(pair.join(" "));
            }
        }
        found.extend(phrase.into_iter().filter(|word| is_content(word)));
    }
    found
}

/// Returns each content word, unless it follows a negation, and its pair with the word before it.
///
/// The word before is the last content word, negation or `too` of the phrase: `not at all happy` gives `not happy`
/// alone, and `too much noise` gives `noise` and `too noise`.
fn content_ngrams(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for phrase in phrases(text) {
        let mut before: Option<&str> = None;
        for word in phrase.iter().map(String::as_str) {
            if is_content(word) {
                found.extend(before.map(|before| format!("{before} {word}")));
                if !before.is_some_and(is_negation) {
                    found.insert(word.to_owned());
                }
            }
            if is_content(word) || is_negation(word) || word == "too" {
                before = Some(word);
            }
        }
    }
    found
}

/// Returns the words of `text` without case and punctuation, which are equal for two copies of a sentence.
pub(super) fn words_only(text: &str) -> String {
    phrases(text).concat().join(" ")
}

/// Splits `text` at its punctuation into phrases of lower-case words.
///
/// Ordinary text and text with a space around every token give the same words. A hyphen separates words but not
/// phrases.
fn phrases(text: &str) -> Vec<Vec<String>> {
    text.to_lowercase()
        .replace(['\u{2018}', '\u{2019}'], "'")
        .replace("--", "\u{2014}")
        .split(|c: char| !(c.is_alphanumeric() || c.is_whitespace() || c == '\'' || c == '-'))
        .map(|phrase| {
            phrase
                .split(|c: char| c.is_whitespace() || c == '-')
                .flat_map(without_contraction)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|phrase| !phrase.is_empty())
        .collect()
}

/// Splits a contraction into words: `don't` gives `do` and `not`, as the narrator of a novel would write; `she'll` and
/// `king's` give their first part.
fn without_contraction(token: &str) -> impl Iterator<Item = &str> {
    let token = token.trim_matches('\'');
    let (word, negation) = match token {
        "ain't" => ("is", "not"),
        "can't" | "cannot" => ("can", "not"),
        "shan't" => ("shall", "not"),
        "won't" => ("will", "not"),
        _ => match token.strip_suffix("n't") {
            Some(verb) => (verb, "not"),
            None => (token.split('\'').next().unwrap_or_default(), ""),
        },
    };
    [word, negation].into_iter().filter(|part| !part.is_empty())
}

/// Checks that `word` is neither a function word nor a number.
fn is_content(word: &str) -> bool {
    FUNCTION_WORDS.binary_search(&word).is_err() && !word.chars().all(|c| c.is_ascii_digit())
}

fn is_negation(word: &str) -> bool {
    NEGATIONS.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_and_the_training_format_give_the_same_ngrams() {
        let story = "“It’s a well-made Garden,” she said; ‘don’t hurry’--GOOD things wait!";
        let tokens = "\" it's a well-made garden , \" she said ; ' don't hurry ' -- good things wait !";
        assert_eq!(adjacent_ngrams(story), adjacent_ngrams(tokens));
        let expected = [
            "a well",
            "garden",
            "good",
            "good things",
            "hurry",
            "made",
            "made garden",
            "not hurry",
            "said",
            "she said",
            "things",
            "things wait",
            "wait",
            "well",
            "well made",
        ];
        assert!(adjacent_ngrams(story).iter().eq(expected), "{:?}", adjacent_ngrams(story));
    }

    #[test]
    fn function_words_count_only_beside_others() {
        assert!(adjacent_ngrams("It was not to be, 1870.").is_empty());
        assert!(adjacent_ngrams("It wasn't good.").contains("not good"));
        assert!(adjacent_ngrams("You can't win").contains("not win"));
    }

    #[test]
    fn content_words_pair_across_function_words_and_after_a_negation_only_there() {
        let cases: [(&str, &[&str]); 7] = [
            ("She was not at all happy.", &["not happy"]),
            ("She was not unhappy, but happy.", &["happy", "not unhappy"]),
            ("A house of great beauty", &["beauty", "great", "great beauty", "house", "house great"]),
            ("no good and no joy", &["no good", "no joy"]),
            ("too much noise", &["noise", "too noise"]),
            ("not too loud", &["loud", "too loud"]),
            ("It was not to be, 1870.", &[]),
        ];
        for (text, expected) in cases {
            let found = content_ngrams(text);
            assert!(found.iter().eq(expected), "{text}: {found:?}");
        }
    }

    #[test]
    fn lists_of_words_are_sorted_and_distinct() {
        for list in [FUNCTION_WORDS, NEGATIONS] {
            assert!(list.iter().is_sorted_by(|a, b| a < b));
        }
        assert!(NEGATIONS.iter().all(|word| FUNCTION_WORDS.contains(word)));
    }

    #[test]
    fn copies_are_recognized() {
        assert_eq!(words_only("A good, short film."), words_only("a good short film . "));
    }
}
