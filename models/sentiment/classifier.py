"""The classifier, as `src/labels/classifier` scores by it: n-grams of a text and their weights."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
NEGATIONS = {"neither", "never", "no", "nor", "not", "without"}
# Words without a weight of their own, which are kept between others: "too" and the negations.
KEPT = NEGATIONS | {"too"}
CONTRACTIONS = {
    "ain't": ["is", "not"],
    "can't": ["can", "not"],
    "cannot": ["can", "not"],
    "shan't": ["shall", "not"],
    "won't": ["will", "not"],
}
PUNCTUATION = re.compile(r"[^\w\s'\-]|_")


def read_function_words():
    """Reads the list of function words in the program's source, so that there is one list."""
    source = (REPOSITORY / "src/labels/classifier/ngrams.rs").read_text(encoding="utf-8")
    body = re.search(r"FUNCTION_WORDS: &\[&str\] = &\[(.*?)\];", source, re.DOTALL).group(1)
    return frozenset(re.findall(r'"([a-z]+)"', body))


FUNCTION_WORDS = read_function_words()


def is_content(word):
    """Checks that a word is neither a function word nor a number."""
    return word not in FUNCTION_WORDS and not (word.isascii() and word.isdigit())


def words_of_token(token):
    """Splits a contraction: `don't` gives `do` and `not`; `king's` gives `king`."""
    token = token.strip("'")
    if token in CONTRACTIONS:
        return CONTRACTIONS[token]
    words = [token[:-3], "not"] if token.endswith("n't") else [token.split("'")[0]]
    return [word for word in words if word]


def straight(text):
    """Writes apostrophes and dashes in one way."""
    return text.replace("\u2018", "'").replace("\u2019", "'").replace("--", "\u2014")


def phrases(text):
    """Splits a text at its punctuation into phrases of lower-case words."""
    tokens = (phrase.replace("-", " ").split() for phrase in PUNCTUATION.split(straight(text.lower())))
    found = ([word for token in phrase for word in words_of_token(token)] for phrase in tokens)
    return [phrase for phrase in found if phrase]


def words_only(text):
    """Returns the words of a text, which are equal for two copies of a sentence."""
    return " ".join(word for phrase in phrases(text) for word in phrase)


def adjacent_ngrams(text):
    """Returns the content words, and the pairs of neighbouring words of which at least one is a content word."""
    found = set()
    for phrase in phrases(text):
        pairs = zip(phrase, phrase[1:])
        found.update(f"{a} {b}" for a, b in pairs if is_content(a) or is_content(b))
        found.update(filter(is_content, phrase))
    return found


def content_ngrams(text):
    """Returns the content words, each also in a pair with the word kept before it.

    Kept are content words, negations and "too". A content word after a negation is in the pair only.
    """
    found = set()
    for phrase in phrases(text):
        kept = [word for word in phrase if is_content(word) or word in KEPT]
        for before, word in zip([None, *kept], kept):
            if not is_content(word):
                continue
            if before is not None:
                found.add(f"{before} {word}")
            if before not in NEGATIONS:
                found.add(word)
    return found


NGRAMS = {"adjacent": adjacent_ngrams, "content": content_ngrams}


@dataclass
class Classifier:
    """Weights of n-grams; `kind` says which n-grams of a text count."""

    bias: float
    weights: dict
    kind: str = "content"
    provenance: dict | None = None

    def score(self, text):
        """Returns the log-odds that a text is positive, summed in the program's order."""
        total = 0.0
        for ngram in sorted(NGRAMS[self.kind](text)):
            total += self.weights.get(ngram, 0.0)
        return self.bias + total

    def accuracy(self, examples):
        """Returns the share of (text, positive?) pairs on the right side of 0; a score of 0 counts half."""
        outcomes = Counter(wins(self.score(text), positive) for text, positive in examples)
        return (outcomes[True] + 0.5 * outcomes[None]) / len(examples)

    @classmethod
    def read(cls, path):
        file = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(file["bias"], file["weights"], file.get("ngrams", "adjacent"), file["provenance"])

    def write(self, path):
        """Writes the file in the layout of the program: one weight a line, in alphabetical order."""
        file = {
            "version": 1,
            "ngram_sizes": [1, 2],
            "ngrams": self.kind,
            "provenance": self.provenance,
            "bias": self.bias,
            "weights": dict(sorted(self.weights.items())),
        }
        Path(path).write_text(json.dumps(file, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def wins(score, positive):
    """Checks whether a score is on the right side of 0; `None` for neither side."""
    return None if score == 0.0 else bool(score > 0.0) == positive
