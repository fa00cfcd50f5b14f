"""Which category a prompt belongs to, with what confidence, and why.

Two stages, learned from the same examples. The lexical one sees keywords, structure and words, and
decides clear cases in a quarter of a millisecond; the second one also sees the embedding, for which
half of the encoder is enough where that makes the category clear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from config.models import Category
from routing.classifier import features
from routing.classifier.early_exit import EarlyExit, Layers
from routing.classifier.features import divide, view
from routing.classifier.learning import softmax
from routing.classifier.lessons import Lesson, Lessons, Nearest, Space
from routing.classifier.reader import Reader, Reading
from routing.classifier.training import Embed, Example, examples, learn, stamp
from routing.classifier.weights import Weights

MODEL, WEIGHTS = Path(__file__).parent / "model", "classifier.npz"
"""The folder of what the repository's own training learned; see `training/`."""
UNSURE = "general"
"""The category for prompts without a clear best one, if it is one of the two likeliest."""
MARGIN = 0.08
"""Minimum margin of the best category over the second."""
CLEAR = 0.985
"""Probability from which the lexical stage decides alone: for one prompt in six of writers held out
of the training, correctly for 99% of them, and for a quarter of the public ones."""
REMEMBERED = 1024
"""Vectors in the cache (1.5 MB), since clients and their retries send a prompt again."""
NEAREST = 3
_SHOWN = 8  # words shown for a group of keywords
_FELT = 0.3  # the minimum strength at which a signal is reported


@dataclass(frozen=True, slots=True)
class Classification:
    """The decision and its reasons; `evidence` is JSON."""

    category: str
    confidence: float
    """Calibrated probability of `category`."""
    probabilities: dict[str, float]
    margin: float
    """Probability of the most likely category minus that of the second."""
    evidence: dict[str, object]
    vector: np.ndarray | None = field(default=None, repr=False, compare=False)
    """Embedding of the prompt's intent; None if less than the whole encoder decided."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What a stage made of a prompt before any correction."""

    logits: np.ndarray
    stage: str
    vector: np.ndarray | None = None
    direction: np.ndarray | None = None
    """Of the intent, as far as the stage knows it."""


class Classifier:
    """Immutable once trained; may be used from several threads at once."""

    def __init__(
        self,
        categories: Mapping[str, Category],
        weights: Weights,
        embed: Embed | None,
    ) -> None:
        self._names = tuple(categories)
        self._examples = tuple(examples(categories))
        self._weights = weights
        self._embed = embed
        self._reader = Reader(categories, weights.vocabulary, weights.rarity)
        self._nearest = Nearest([example.text for example in self._examples])
        self._vector = lru_cache(REMEMBERED)(self._embedding)
        self._space = self._directions()
        self._early: EarlyExit | None = None
        self.lessons = Lessons((), self._names, space=self._space)

    @classmethod
    def train(
        cls,
        categories: Mapping[str, Category],
        embed: Embed | None,
        model: str | None = None,
        shipped: Weights | None = None,
    ) -> Classifier:
        """Learn the categories from their examples, in a few seconds.

        `model` names the embedding model. Without `embed` the lexical stage decides everything.
        Categories that `shipped` contains keep the weights learned for them.
        """
        return cls(categories, learn(categories, embed, model, shipped), embed)

    def with_early_exit(self, layers: Layers) -> Classifier:
        """The same classifier, which runs the upper layers for unclear prompts only.

        `layers` are those that `embed` runs as a whole. Without weights for it, as for categories
        that were not shipped, and while lessons are in force all layers are run for all prompts.
        """
        if self._weights.early is None:
            return self
        quicker = copy(self)
        quicker._early = EarlyExit(layers, self._weights.early)
        return quicker

    def with_lessons(self, lessons: Sequence[Lesson]) -> Classifier:
        """The same classifier with exactly these lessons, replacing any earlier ones.

        Takes some milliseconds for each new lesson.
        """
        taught = copy(self)
        taught.lessons = self.lessons.followed_by(lessons, self._taught(lessons))
        return taught

    def generalised(self) -> Classifier:
        """The same classifier after learning what its lessons have in common, if they are `behind`.

        Takes some tenths of a second for each kind of prompts that was corrected.
        """
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        learned, lessons = copy(self), self.lessons
        assert lessons.vectors is not None  # otherwise they would not be `behind`
        readings = [self._reader.read(one.prompt) for one in lessons.known]
        with threadpool_limits(1):
            pairs = zip(readings, lessons.vectors, strict=True)
            logits = [self._found(*pair).logits for pair in pairs]
            learned.lessons = lessons.generalised(np.array(logits))
        return learned

    def forget(self) -> None:
        """Clear the caches of vectors."""
        self._vector.cache_clear()
        if self._early is not None:
            self._early.forget()

    def dump(self) -> bytes:
        """Everything learned, for `load`."""
        return self._weights.dump()

    @classmethod
    def load(
        cls,
        data: bytes,
        categories: Mapping[str, Category],
        embed: Embed | None,
        model: str | None = None,
    ) -> Classifier | None:
        """Restore what `dump` wrote, or None if it was learned from other categories or another
        model."""
        return cls.ready(Weights.load(data), categories, embed, model)

    @classmethod
    def ready(
        cls,
        weights: Weights | None,
        categories: Mapping[str, Category],
        embed: Embed | None,
        model: str | None = None,
    ) -> Classifier | None:
        """A classifier with these weights, or None if they were learned from other categories or
        another model.

        Weights of both stages work without a model too: the lexical stage then decides alone.
        """
        if weights is None:
            return None
        if embed is None:
            model = weights.model
            weights = weights.without_model()
        if weights.stamp != stamp(categories, model):
            return None
        if embed is not None and weights.full is None:
            return None
        found = cls(categories, weights, embed)
        features, names = found._reader.prior().shape
        return found if weights.lexical.shape == (features + 1, names) else None

    @staticmethod
    def embedded(prompt: str) -> str:
        """The text whose vector `classify` takes: about 64 tokens, whatever the prompt's length."""
        return view(divide(prompt))

    def classify(
        self,
        prompt: str,
        history: Sequence[Mapping[str, str]] = (),
        *,
        vector: np.ndarray | None = None,
    ) -> Classification:
        """Classify a prompt in the context of the conversation before it, oldest turn first.

        `vector` is the embedding of `embedded(prompt)`, for callers that already have it.
        """
        reading = self._reader.read(prompt)
        shares, evidence, vector = self._judge(reading, vector)
        earlier = features.before(history)
        if earlier is not None:
            own = features.independence(prompt, float(shares.max()))
            if own < 1:
                context, _, _ = self._judge(self._reader.read(earlier), None)
                shares = softmax(
                    own * np.log(np.maximum(shares, 1e-9))
                    + (1 - own) * np.log(np.maximum(context, 1e-9))
                )
                evidence["context"] = {"turn": earlier[:200], "weight": 1 - own}
        return self._decide(shares, evidence, vector)

    def _decide(
        self, shares: np.ndarray, evidence: dict[str, object], vector: np.ndarray | None
    ) -> Classification:
        first, second = np.argsort(-shares)[:2] if len(shares) > 1 else (0, 0)
        margin = float(shares[first] - shares[second]) if len(shares) > 1 else 1.0
        best = self._names[first]
        unsure = margin < MARGIN and UNSURE in (best, self._names[second])
        category = UNSURE if unsure else best
        probabilities = {n: float(p) for n, p in zip(self._names, shares, strict=True)}
        evidence["unsure"] = unsure
        confidence = probabilities[category]
        return Classification(category, confidence, probabilities, margin, evidence, vector)

    def _judge(
        self, reading: Reading, vector: np.ndarray | None
    ) -> tuple[np.ndarray, dict[str, object], np.ndarray | None]:
        """The probability of each category, its evidence, and the vector if one was computed."""
        found = self._found(reading, vector)
        logits, vector, similar = found.logits, found.vector, self._nearest_to(found, reading)
        evidence = self._evidence(reading, similar) | {"stage": found.stage}
        if self.lessons:
            if vector is None and self._space is not None:
                vector = self._vector(view(reading.parts))
            logits, heard = self.lessons.corrected(logits, vector, reading.tokens)
            if heard is not None:
                evidence["taught"] = heard.shown()
        if self._space is None:
            evidence["limited"] = "the embedding model is not installed"
        return softmax(logits), evidence, vector

    def _found(self, reading: Reading, vector: np.ndarray | None) -> _Found:
        """The word of the first stage that is sure, or of the last."""
        weights = self._weights
        logits = _apply(weights.lexical, reading.row)
        if weights.full is None or self._space is None:
            return _Found(logits, "rules", vector)
        if vector is None and softmax(logits).max() >= CLEAR:
            return _Found(logits, "rules")
        if vector is None and self._early is not None and not self.lessons:
            passed = self._early.judge(view(reading.parts), logits)
            if passed.logits is not None:
                return _Found(passed.logits, "early exit", direction=passed.direction)
            vector = passed.vector
        if vector is None:
            vector = self._vector(view(reading.parts))
        logits = _apply(weights.full, np.concatenate([vector, reading.row]))
        return _Found(logits, "embedding", vector, self._space.look(vector[None])[0])

    def _nearest_to(self, found: _Found, reading: Reading) -> np.ndarray:
        """The similarity of each example: of the intents if a stage knows the prompt's."""
        if found.direction is not None and self._space is not None:
            return self._space.similarities(found.direction)
        return self._nearest.similarities(reading.tokens)

    def _directions(self) -> Space | None:
        """Directions of the examples' intents, if there is a model."""
        if self._weights.vectors is None:
            return None
        columns = np.array([self._names.index(example.category) for example in self._examples])
        groups = [(example.category, example.intent) for example in self._examples]
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        intents = np.array([numbers[group] for group in groups])
        return Space(self._weights.vectors, columns, intents)

    def _taught(self, lessons: Sequence[Lesson]) -> np.ndarray | None:
        """The vectors of lessons, if there is a model; known ones are reused."""
        if self._embed is None or not lessons:
            return None
        before = self.lessons.vectors
        known = {} if before is None else dict(zip(self.lessons.known, before, strict=True))
        made = [known[x] if x in known else self._vector(self.embedded(x.prompt)) for x in lessons]
        return np.array(made)

    def _embedding(self, text: str) -> np.ndarray:
        assert self._embed is not None  # guaranteed by `load` and `train`
        vector: np.ndarray = self._embed([text])[0]
        vector.setflags(write=False)
        return vector

    def _evidence(self, reading: Reading, similar: np.ndarray) -> dict[str, object]:
        nearest = [(self._examples[row], float(similar[row])) for row in _largest(similar)]
        return {
            "intent": nearest[0][0].intent if nearest and nearest[0][1] > 0 else None,
            "nearest": [_shown(example, value) for example, value in nearest if value > 0],
            "rules": [*self._keywords_hit(reading), *self._signals_felt(reading)],
        }

    def _keywords_hit(self, reading: Reading) -> list[str]:
        return [
            f"{name} → {category} ({', '.join(sorted(hits)[:_SHOWN])})"
            for (category, name), hits in zip(self._reader.groups, reading.hits, strict=True)
            if hits
        ]

    def _signals_felt(self, reading: Reading) -> list[str]:
        return [
            f"looks like {signal} → {category}"
            for signal, strength in zip(self._reader.signals, reading.strengths, strict=True)
            for category in self._names
            if strength > _FELT and self._reader.declares(category, signal)
        ]


def _apply(weights: np.ndarray, row: np.ndarray) -> np.ndarray:
    """The logits of the categories.

    Without BLAS, whose threads would take longer to wake up than this takes on a busy machine.
    """
    logits: np.ndarray = np.einsum("i,ij->j", row, weights[:-1]) + weights[-1]
    return logits


def _largest(values: np.ndarray) -> np.ndarray:
    """The rows of the NEAREST largest values, largest first."""
    count = min(NEAREST, len(values))
    rows = np.argpartition(-values, count - 1)[:count] if count else np.arange(0)
    ordered: np.ndarray = rows[np.argsort(-values[rows], kind="stable")]
    return ordered


def _shown(example: Example, similarity: float) -> dict[str, object]:
    return {
        "example": example.text[:200],
        "category": example.category,
        "intent": example.intent,
        "similarity": round(similarity, 3),
    }
