"""Trains the simulated labeler's classifier; `models/README.md` says on what, and how well it does.

    pip install numpy scipy
    python train.py --sentences DIR --sentiment DIR --books DIR --stories DIR --seed 1 --out classifier.json --measure

The classifier is a logistic regression. Its features are n-grams (`content_ngrams`) and, so that words of stories
that reviews lack get a weight as well, the word vectors of the text's words, made from books. A weight of the file is
the n-gram's own weight plus, for a word, what its vector adds.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

import measure
from classifier import FUNCTION_WORDS, PUNCTUATION, Classifier, content_ngrams, is_content, phrases, straight
from examples import Data, seed_examples

# Word vectors: context on each side, rarest word, size, and the power that makes rare contexts weigh less.
WINDOW, RAREST_WORD, DIMENSIONS, CONTEXT_POWER = 15, 5, 50, 0.75
# Fewest examples with a word, and with a pair, that has a weight of its own.
FEWEST_WITH_WORD, FEWEST_WITH_PAIR = 3, 5
# Strength of the penalty ½·l2·‖w‖² on the weights of n-grams, and on those of the vectors' dimensions.
L2_OF_NGRAMS, L2_OF_VECTORS = 4.0, 2.0
# Bounds of an n-gram's own weight, and of the sum, so that no word decides alone.
LARGEST_OWN_WEIGHT, LARGEST_WEIGHT = 0.7, 1.0
# Fewest occurrences in the books of a word whose weight comes from its vector alone.
FEWEST_IN_BOOKS = 10
# Number of weights in the file, chosen by how much they decide; an occurrence in the books counts as 0.05 examples.
KEPT_WEIGHTS, SMALLEST_WEIGHT, OF_BOOK_OCCURRENCE = 23_000, 0.005, 0.05
SOURCE = (
    "Sentence Polarity Dataset v1.0 (Pang and Lee 2005), CC BY 4.0; Movie Review Data v2.0 (Pang and Lee 2004), "
    "CC BY 4.0; Pros and Cons (Liu 2008), CC BY 4.0; ratings of sentences (Hutto and Gilbert 2014), MIT; word vectors "
    "from 42 books in the public domain; 178 seed words and phrases written for this project"
)


def main():
    arguments = read_arguments()
    books = [arguments.books, arguments.stories]
    data = Data(arguments.sentences, arguments.sentiment, books, arguments.seed)
    classifier = train(data)
    classifier.provenance = {
        "source": SOURCE,
        "seed": arguments.seed,
        "held_out_accuracy": classifier.accuracy(data.held_out.sentences),
        "held_out_examples": len(data.held_out.sentences),
    }
    classifier.write(arguments.out)
    if arguments.measure is not None:
        others = {str(path): Classifier.read(path) for path in arguments.measure}
        measure.print_table(data, {str(arguments.out): classifier} | others)


def read_arguments():
    parser = argparse.ArgumentParser(description="Trains the simulated labeler's classifier.")
    parser.add_argument("--sentences", type=Path, required=True, help="folder of the Sentence Polarity Dataset v1.0")
    parser.add_argument("--sentiment", type=Path, required=True, help="folder of the other texts with sentiment")
    parser.add_argument("--books", type=Path, required=True, help="folder of novels as text files")
    parser.add_argument("--stories", type=Path, required=True, help="folder of stories for children as text files")
    parser.add_argument("--seed", type=int, default=1, help="seed that chooses the held-out tenth")
    parser.add_argument("--out", type=Path, required=True, help="file of the classifier")
    parser.add_argument(
        "--measure", type=Path, nargs="*", help="print how well it does, beside these other classifiers"
    )
    return parser.parse_args()


@dataclass
class Vocabulary:
    """Words without a weight, and counts of words in the books."""

    names: set
    neutral: set
    in_books: Counter

    def may_weigh(self, ngram):
        """Checks that an n-gram may have a weight: no pair with a name, and not only names and neutral words."""
        words = ngram.split(" ")
        if len(words) == 2 and any(word in self.names for word in words):
            return False
        return any(word not in self.names | self.neutral and is_content(word) for word in words)


def train(data):
    """Fits the regression and turns it into a classifier."""
    neutral = {seed for seed, sign in data.seeds if sign == "0" and " " not in seed}
    in_books = Counter(word for text in data.paragraphs for phrase in phrases(text) for word in phrase)
    vocabulary = Vocabulary(names_in(data.paragraphs), neutral, in_books)
    words, vectors = word_vectors(data.paragraphs)
    examples, seeds = data.examples(), seed_examples(data.seeds)
    ngrams = [sorted(content_ngrams(example.text)) for example in examples + seeds]
    features = features_of(ngrams, len(examples), vocabulary)
    with_weight = [word for word in words if vocabulary.may_weigh(word)]
    vectors = vectors[[words[word] for word in with_weight]]
    print(f"{len(examples)} examples, {len(features)} n-grams, {len(with_weight)} word vectors")
    own, of_vectors, bias = fit(
        indicators(ngrams, features),
        indicators(ngrams, with_weight) @ vectors,
        np.array([example.target for example in examples + seeds]),
        np.array([example.weight for example in examples + seeds]),
    )
    weights = folded(dict(zip(features, own)), dict(zip(with_weight, vectors @ of_vectors)), in_books)
    counts = Counter()
    for example, found in zip(examples, ngrams):
        for ngram in found:
            counts[ngram] += example.weight
    return Classifier(round(float(bias), 4), most_deciding(weights, counts, in_books))


def names_in(texts):
    """Returns the words that the books write with a capital more often than not, other than first in a phrase."""
    upper, lower = Counter(), Counter()
    for text in texts:
        for phrase in PUNCTUATION.split(straight(text)):
            words = [token.strip("'").split("'")[0] for token in phrase.replace("-", " ").split()]
            for word in [word for word in words if word][1:]:
                (upper if word[0].isupper() else lower)[word.lower()] += 1
    return {word for word in upper if upper[word] > lower[word] and word not in FUNCTION_WORDS}


def word_vectors(texts):
    """Returns the index of each word and the words' vectors, of length 1.

    They are a truncated singular value decomposition of the positive pointwise mutual information (Levy, Goldberg and
    Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings"), each dimension times
    the root of its singular value.
    """
    streams = [[word for phrase in phrases(text) for word in phrase if is_content(word)] for text in texts]
    counts = Counter(word for stream in streams for word in stream)
    words = {word: i for i, word in enumerate(sorted(word for word, n in counts.items() if n >= RAREST_WORD))}
    streams = [np.array([words[word] for word in stream if word in words], np.int64) for stream in streams]
    together = co_occurrences(streams, len(words))
    of_word = np.asarray(together.sum(axis=1)).ravel()
    of_context = of_word**CONTEXT_POWER
    of_context /= of_context.sum()
    together = together.tocoo()
    information = np.log(together.data / of_word[together.row] / of_context[together.col])
    positive = information > 0
    places = (together.row[positive], together.col[positive])
    matrix = csr_matrix((information[positive], places), shape=together.shape)
    start = np.random.default_rng(0).standard_normal(len(words))
    left, values, _ = svds(matrix, k=DIMENSIONS, v0=start)
    vectors = left * np.sqrt(values)
    return words, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def co_occurrences(streams, size):
    """Counts, for each pair of words, how often they stand within the window of each other."""
    rows, columns = [], []
    for distance in range(1, WINDOW + 1):
        long = [stream for stream in streams if len(stream) > distance]
        first = np.concatenate([stream[:-distance] for stream in long])
        second = np.concatenate([stream[distance:] for stream in long])
        rows += [first, second]
        columns += [second, first]
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    return csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, size))


def features_of(ngrams, examples, vocabulary):
    """Returns the n-grams with a weight of their own: those of enough examples, and those of the seeds."""
    counts = Counter(ngram for found in ngrams[:examples] for ngram in found)
    frequent = {ngram for ngram, n in counts.items() if n >= (FEWEST_WITH_PAIR if " " in ngram else FEWEST_WITH_WORD)}
    of_seeds = {ngram for found in ngrams[examples:] for ngram in found}
    return sorted(filter(vocabulary.may_weigh, frequent | of_seeds))


def indicators(ngrams, features):
    """Returns the matrix of which example (row) has which n-gram (column)."""
    column = {ngram: i for i, ngram in enumerate(features)}
    found = [[column[ngram] for ngram in ngrams_of_one if ngram in column] for ngrams_of_one in ngrams]
    starts = np.concatenate([[0], np.cumsum([len(columns) for columns in found])])
    columns = np.array([column for columns in found for column in columns], np.int64)
    return csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(ngrams), len(features)))


def fit(indicators, vectors, targets, weights):
    """Minimizes the weighted cross-entropy with the penalties, and returns both kinds of weights and the bias."""
    n, all_of_them = indicators.shape[1], indicators.shape[1] + vectors.shape[1]
    transposed = indicators.T.tocsr()
    penalty = np.concatenate([np.full(n, L2_OF_NGRAMS), np.full(vectors.shape[1], L2_OF_VECTORS), [0.0]])

    def loss_and_gradient(parameters):
        own, of_vectors, bias = parameters[:n], parameters[n:all_of_them], parameters[-1]
        log_odds = indicators @ own + vectors @ of_vectors + bias
        loss = np.sum(weights * (np.logaddexp(0.0, log_odds) - targets * log_odds))
        errors = weights * (1.0 / (1.0 + np.exp(-log_odds)) - targets)
        gradient = np.concatenate([transposed @ errors, vectors.T @ errors, [errors.sum()]])
        return loss + 0.5 * np.sum(penalty * parameters**2), gradient + penalty * parameters

    # Until the loss no longer falls: then the rounded weights hardly depend on the order of the additions.
    options = {"maxcor": 30, "maxiter": 5000, "maxfun": 10000, "ftol": 0.0, "gtol": 1e-6}
    found = minimize(loss_and_gradient, np.zeros(all_of_them + 1), jac=True, method="L-BFGS-B", options=options)
    print(f"{found.nit} iterations, gradient {np.abs(found.jac).max():.1e}: {found.message}")
    return found.x[:n], found.x[n:all_of_them], found.x[-1]


def folded(own, of_vectors, in_books):
    """Adds what the vectors say to the n-grams' own weights, both within their bounds, and rounds to four decimals."""
    weights = {}
    for ngram in own.keys() | of_vectors.keys():
        if ngram in own or in_books[ngram] >= FEWEST_IN_BOOKS:
            total = bounded(own.get(ngram, 0.0), LARGEST_OWN_WEIGHT) + of_vectors.get(ngram, 0.0)
            weight = round(float(bounded(total, LARGEST_WEIGHT)), 4)
            if abs(weight) >= SMALLEST_WEIGHT:
                weights[ngram] = weight
    return weights


def bounded(weight, bound):
    return max(-bound, min(bound, weight))


def most_deciding(weights, counts, in_books):
    """Keeps the weights that decide most: large ones of frequent n-grams. `counts` are weighted by the example."""

    def importance(ngram):
        in_stories = 0.0 if " " in ngram else OF_BOOK_OCCURRENCE * in_books[ngram]
        return abs(weights[ngram]) * max(counts[ngram], in_stories) ** 0.5

    kept = sorted(weights, key=lambda ngram: (-importance(ngram), ngram))[:KEPT_WEIGHTS]
    return {ngram: weights[ngram] for ngram in kept}


if __name__ == "__main__":
    main()
