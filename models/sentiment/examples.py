"""What the classifier is trained and measured on: texts with their sentiment, books, and the seed words."""

import re
import struct
import zipfile
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classifier import words_only

HERE = Path(__file__).resolve().parent
HELD_OUT = 0.1
# Slope by which a mean rating of people, -4 to 4, becomes the probability that a text is positive.
RATING_SLOPE = 1.0
# Weights of an example in the loss, by its source. Lines of a review and phrases of a list of pros and cons have the
# sentiment of the whole, which is often not their own.
OF_SENTENCE, OF_RATED_SENTENCE, OF_RATED_SNIPPET = 1.0, 2.0, 1.5
OF_REVIEW_LINE, OF_PRO_OR_CON, OF_SEED = 0.15, 0.05, 5.0
# Targets of the seed words and of their negations, which are milder.
SEED_TARGETS = {"+": 0.95, "-": 0.05, "0": 0.5}
NEGATED_TARGETS = {"+": 0.2, "-": 0.8}
SEED_NEGATIONS = ("not", "never", "no", "without")


class Example(NamedTuple):
    """A text, the probability that it is positive, and its weight in the loss."""

    text: str
    target: float
    weight: float


def decode(data):
    """Decodes UTF-8, or Latin-1 where a file is no UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_sentences(folder):
    """Reads the Sentence Polarity Dataset: positive sentences, then negative ones."""
    sides = (("pos.txt", True), ("neg.txt", False))
    lines = ((line.strip(), side) for name, side in sides for line in decode((folder / name).read_bytes()).split("\n"))
    return [(line, side) for line, side in lines if line]


def read_labelled(path):
    """Reads lines of `text<TAB>0` or `text<TAB>1`."""
    lines = [line.strip().rsplit("\t", 1) for line in decode(path.read_bytes()).split("\n") if line.strip()]
    return [(text, label == "1") for text, label in lines]


def read_ratings(path):
    """Reads lines of `id<TAB>mean rating<TAB>text`."""
    lines = (line.rstrip("\r").split("\t", 2) for line in decode(path.read_bytes()).split("\n"))
    return [(line[2], float(line[1])) for line in lines if len(line) == 3]


def read_reviews(path):
    """Reads the lines of whole film reviews, each with the sentiment of its review."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if re.search(r"/(pos|neg)/.*\.txt$", name):
                for line in decode(archive.read(name)).split("\n"):
                    if line.strip():
                        yield line, "/pos/" in name


def read_pros_and_cons(path):
    """Reads what reviewers of products listed as pros and as cons."""
    with zipfile.ZipFile(path) as archive:
        for tag, side in (("Pros", True), ("Cons", False)):
            text = decode(archive.read(f"pros_cons/Integrated{tag}.txt"))
            for phrase in re.findall(rf"<{tag}>(.*?)</{tag}>", text):
                yield re.sub(r"&\w+;", " ", phrase), side


def read_books(folders):
    """Reads the paragraphs of the books in folders of text files."""
    paths = [path for folder in folders for path in sorted(folder.glob("*.txt"))]
    return [paragraph for path in paths for paragraph in paragraphs(decode(path.read_bytes()))]


def paragraphs(text):
    """Splits a book into paragraphs, without the header and footer of Project Gutenberg.

    A file has blank lines between paragraphs of hard-wrapped lines, or one paragraph a line.
    """
    lines = [" ".join(line.split()) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    marks = [line.lstrip("* ").lower() if "project gutenberg" in line.lower() else "" for line in lines]
    end = next((i for i, mark in enumerate(marks) if mark.startswith("end of ")), len(lines))
    start = max((i + 1 for i, mark in enumerate(marks[:end]) if mark.startswith("start of th")), default=0)
    found = []
    for block in re.split(r"\n\n+", "\n".join(lines[start:end]).strip("\n")):
        wrapped = max(map(len, block.split("\n"))) <= 120
        found.extend([block.replace("\n", " ")] if wrapped else block.split("\n"))
    return found


def read_seeds():
    """Reads `seeds.txt`: words of feeling, and words and phrases without any, with their sign."""
    lines = (HERE / "seeds.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    return [(seed.strip(), line[0]) for line in lines for seed in line[1:].split(",")]


def seed_examples(seeds):
    """Returns each seed as a text, and each word of feeling after a negation with a mild opposite target."""
    found = []
    for seed, sign in seeds:
        found.append(Example(seed, SEED_TARGETS[sign], OF_SEED))
        if sign in NEGATED_TARGETS:
            found += [Example(f"{negation} {seed}", NEGATED_TARGETS[sign], OF_SEED) for negation in SEED_NEGATIONS]
    return found


@dataclass
class Part:
    """Sentences and ratings, each with its label, of one side of the split into training and held-out texts."""

    sentences: list
    ratings: dict


class Data:
    """All texts, with a random tenth of the sentences and of the ratings held out."""

    def __init__(self, sentences, sentiment, books, seed):
        self.labelled = {
            name: read_labelled(sentiment / f"{file}_labelled.txt")
            for name, file in (("IMDb", "imdb"), ("Yelp", "yelp"), ("Amazon", "amazon_cells"))
        }
        self.reviews = list(read_reviews(sentiment / "movie_reviews.zip"))
        self.pros_and_cons = list(read_pros_and_cons(sentiment / "pros_cons.zip"))
        self.paragraphs = read_books(books)
        self.seeds = read_seeds()
        self.training, self.held_out = split_sentences(read_sentences(sentences), seed)
        self.split_ratings(sentiment, seed)

    def split_ratings(self, sentiment, seed):
        """Splits the ratings; those of film sentences are on the side of the sentence."""
        for name, file in (("films", "movieReview"), ("products", "amazonReview"), ("editorials", "nytEditorial")):
            rated = read_ratings(sentiment / f"{file}Snippets_GroundTruth.txt")
            if name == "films":
                for part in (self.training, self.held_out):
                    known = {key(text) for text, _ in part.sentences}
                    part.ratings[name] = [one for one in rated if key(one[0]) in known]
            else:
                self.training.ratings[name], self.held_out.ratings[name] = split(rated, seed)

    def examples(self):
        """Returns the training examples, none of which is a text that the classifier is measured on."""
        measured = {key(text) for texts in self.labelled.values() for text, _ in texts}
        measured |= {key(text) for text, _ in self.held_out.sentences}
        measured |= {key(text) for name in ("products", "editorials") for text, _ in self.held_out.ratings[name]}
        sides = (
            (self.training.sentences, OF_SENTENCE, float),
            (self.training.ratings["films"], OF_RATED_SENTENCE, probability),
            (self.reviews, OF_REVIEW_LINE, float),
            (self.pros_and_cons, OF_PRO_OR_CON, float),
            (self.training.ratings["products"], OF_RATED_SNIPPET, probability),
            (self.training.ratings["editorials"], OF_RATED_SNIPPET, probability),
        )
        return [
            Example(text, target(value), weight)
            for texts, weight, target in sides
            for text, value in texts
            if key(text) not in measured
        ]


def key(text):
    """Returns the letters and digits of a text, by which copies in different files are recognized."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def probability(rating):
    return 1.0 / (1.0 + float(np.exp(-RATING_SLOPE * rating)))


def split_sentences(sentences, seed):
    training, held_out = split(sentences, seed)
    return Part(training, {}), Part(held_out, {})


def split(labelled, seed):
    """Splits (text, label) pairs as `preftune train-labeler` does, copies on one side: training and held-out ones."""
    copies = {}
    for one in labelled:
        copies.setdefault(words_only(one[0]), []).append(one)
    groups = [copies[words] for words in sorted(copies)]
    order = np.argsort(random_numbers(seed, len(groups)), kind="stable")
    dealt = [groups[position] for position in order]
    held_out = int(len(groups) * HELD_OUT + 0.5)
    return list(chain.from_iterable(dealt[held_out:])), list(chain.from_iterable(dealt[:held_out]))


def random_numbers(seed, count):
    """Returns the first 64-bit numbers of `ChaCha8Rng::seed_from_u64(seed)` of the crate `rand_chacha`."""
    blocks = (count + 7) // 8
    state = np.zeros((16, blocks), np.uint32)
    state[:4] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
    state[4:12] = np.frombuffer(chacha_key(seed), "<u4")[:, None]
    state[12] = np.arange(blocks)
    mixed = state.copy()
    rounds = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
    rounds += ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
    for a, b, c, d in rounds * 4:
        for to, added, turned, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            mixed[to] += mixed[added]
            both = mixed[turned] ^ mixed[to]
            mixed[turned] = both << np.uint32(bits) | both >> np.uint32(32 - bits)
    return np.ascontiguousarray((mixed + state).T).reshape(-1).view("<u8")[:count]


def chacha_key(seed):
    """Expands a seed to a key by PCG32, as the crate `rand_core` does."""
    key = b""
    for _ in range(8):
        seed = (seed * 6364136223846793005 + 11634580027462260723) % 2**64
        xorshifted = (seed >> 18 ^ seed) >> 27 & 0xFFFFFFFF
        turns = seed >> 59
        key += struct.pack("<I", (xorshifted >> turns | xorshifted << (32 - turns) % 32) & 0xFFFFFFFF)
    return key
