//! Words and word pairs of a text, which are the features of the classifier.

use std::collections::BTreeSet;

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

/// Returns the distinct words and pairs of neighbouring words in `text`, with a space between the words of a pair.
///
/// Function words, numbers, and pairs made only of them are left out; `not good` stays.
pub(super) fn ngrams(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for phrase in phrases(text) {
        for pair in phrase.windows(2) {
            if pair.iter().any(|word| carries_meaning(word)) {
                found.insert(pair.join(" "));
            }
        }
        found.extend(phrase.into_iter().filter(|word| carries_meaning(word)));
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

fn carries_meaning(word: &str) -> bool {
    FUNCTION_WORDS.binary_search(&word).is_err() && !word.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_and_the_training_format_give_the_same_ngrams() {
        let story = "“It’s a well-made Garden,” she said; ‘don’t hurry’--GOOD things wait!";
        let tokens = "\" it's a well-made garden , \" she said ; ' don't hurry ' -- good things wait !";
        assert_eq!(ngrams(story), ngrams(tokens));
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
        assert!(ngrams(story).iter().eq(expected), "{:?}", ngrams(story));
    }

    #[test]
    fn function_words_count_only_beside_others() {
        assert!(ngrams("It was not to be, 1870.").is_empty());
        assert!(ngrams("It wasn't good.").contains("not good"));
        assert!(ngrams("You can't win").contains("not win"));
    }

    #[test]
    fn function_words_are_sorted_and_distinct() {
        assert!(FUNCTION_WORDS.iter().is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn copies_are_recognized() {
        assert_eq!(words_only("A good, short film."), words_only("a good short film . "));
    }
}
