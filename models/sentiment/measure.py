"""Measurements of classifiers on texts that they were not trained on."""

from math import atanh, sqrt, tanh

from scipy.stats import pearsonr, spearmanr

from classifier import REPOSITORY, wins

Z = 1.959963984540054


def print_table(data, classifiers):
    """Prints a table with a column for each classifier."""
    rows = [("", classifiers)]
    sets = {"held-out film sentences": data.held_out.sentences} | data.labelled
    for name, texts in sets.items():
        rows.append((f"{name}, accuracy ({len(texts)})", [accuracy(one, texts) for one in classifiers.values()]))
    for name, rated in data.held_out.ratings.items():
        title = f"held-out ratings of {name}, Pearson's r ({len(rated)}); Spearman's ρ"
        rows.append((title, [correlation(one, rated) for one in classifiers.values()]))
    rows.append(("pairs of story sentences in the right order", [ordered(one) for one in classifiers.values()]))
    first, *others = classifiers.values()
    if others:
        against = [compared(first, other, data.held_out.sentences) for other in others]
        rows.append(("held-out film sentences that only the first, only this one gets right", ["", *against]))
    for title, cells in rows:
        print(f"| {title} | {' | '.join(cells)} |")


def accuracy(classifier, texts):
    share = classifier.accuracy(texts)
    return f"{100 * share:.1f}% ({between(*wilson(share * len(texts), len(texts)))})"


def correlation(classifier, rated):
    """Returns both correlations of scores with people's mean ratings, and Fisher's interval of the first."""
    scores, ratings = [classifier.score(text) for text, _ in rated], [rating for _, rating in rated]
    r = pearsonr(scores, ratings)[0]
    half = Z / sqrt(len(rated) - 3)
    low, high = tanh(atanh(r) - half), tanh(atanh(r) + half)
    return f"{r:.2f} ({low:.2f} to {high:.2f}); {spearmanr(scores, ratings)[0]:.2f}"


def ordered(classifier):
    """Counts the pairs of `story_pairs.tsv` whose first sentence has the higher score."""
    lines = (REPOSITORY / "tests/fixtures/story_pairs.tsv").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("\t") for line in lines]
    right = sum(classifier.score(first) > classifier.score(second) for first, second in pairs)
    return f"{right} of {len(pairs)} ({between(*wilson(right, len(pairs)))})"


def compared(first, other, texts):
    """Counts the texts that exactly one of two classifiers gets right."""
    right = [[wins(one.score(text), side) is True for text, side in texts] for one in (first, other)]
    return f"{sum(a > b for a, b in zip(*right))}, {sum(a < b for a, b in zip(*right))}"


def wilson(right, count):
    """Returns the 95% Wilson interval of a share."""
    share, square = right / count, Z * Z / count
    half = Z * sqrt(share * (1 - share) / count + square / count / 4)
    return (share + square / 2 - half) / (1 + square), (share + square / 2 + half) / (1 + square)


def between(low, high):
    return f"{100 * low:.1f} to {100 * high:.1f}"
