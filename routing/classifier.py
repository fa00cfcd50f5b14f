"""Which category a prompt belongs to, how surely, and why."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from config.models import Category
from routing.features import excerpt, view

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts to L2-normalised float32 vectors, one row a text; plain, without a query prefix."""
UNSURE = "general"
"""Where a prompt goes when no category is clearly ahead, if there is a category of that name."""
MARGIN = 0.05
"""Least lead of the best category over the second."""
NEAREST = 3
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Classification:
    """What was decided and on what grounds; `evidence` is JSON."""

    category: str
    confidence: float
    probabilities: dict[str, float]
    margin: float
    evidence: dict[str, object]


@dataclass(frozen=True, slots=True)
class _Example:
    text: str
    category: str
    intent: str


class Classifier:
    """Immutable once trained; may be used from several threads at once."""

    def __init__(
        self,
        categories: Sequence[str],
        examples: Sequence[_Example],
        arrays: Mapping[str, np.ndarray],
        embed: Embed,
        fingerprint: str,
    ) -> None:
        self._categories = tuple(categories)
        self._examples = tuple(examples)
        self._arrays = dict(arrays)
        self._embed = embed
        self._fingerprint = fingerprint

    @classmethod
    def train(cls, categories: Mapping[str, Category], embed: Embed, model: str = "") -> Classifier:
        """Learn the categories from their examples; `model` names the embedding model."""
        from sklearn.linear_model import LogisticRegression

        examples = _examples(categories)
        vectors = embed([view(excerpt(example.text)) for example in examples])
        labels = [list(categories).index(example.category) for example in examples]
        fitted = LogisticRegression(C=8.0, class_weight="balanced", max_iter=2000)
        fitted.fit(vectors, labels)
        arrays = {"vectors": vectors, "weights": fitted.coef_.T, "bias": fitted.intercept_}
        return cls(list(categories), examples, arrays, embed, fingerprint(categories, model))

    def dump(self) -> bytes:
        """Everything learned, as the bytes of an npz file."""
        buffer = io.BytesIO()
        header = np.frombuffer(self._fingerprint.encode(), dtype=np.uint8)
        arrays: dict[str, Any] = {"fingerprint": header, **self._arrays}
        np.savez_compressed(buffer, **arrays)
        return buffer.getvalue()

    @classmethod
    def load(
        cls, data: bytes, categories: Mapping[str, Category], embed: Embed, model: str = ""
    ) -> Classifier | None:
        """What `dump` wrote, or None if it was learned from other categories or another model."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            stamp = arrays.pop("fingerprint").tobytes().decode()
        except (ValueError, OSError, KeyError, EOFError):
            return None
        if stamp != fingerprint(categories, model):
            return None
        return cls(list(categories), _examples(categories), arrays, embed, stamp)

    def classify(
        self,
        prompt: str,
        history: Sequence[Mapping[str, str]] = (),
        *,
        vector: np.ndarray | None = None,
    ) -> Classification:
        """Classify a prompt in the light of the conversation before it."""
        del history
        if vector is None:
            vector = self._embed([view(excerpt(prompt))])[0]
        logits = vector @ self._arrays["weights"] + self._arrays["bias"]
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        order = np.argsort(-shares)
        margin = float(shares[order[0]] - shares[order[1]]) if len(order) > 1 else 1.0
        category = self._categories[order[0]]
        unsure = margin < MARGIN and UNSURE in self._categories
        if unsure:
            category = UNSURE
        probabilities = {n: float(p) for n, p in zip(self._categories, shares, strict=True)}
        evidence: dict[str, object] = {
            "stage": "embedding",
            "unsure": unsure,
            "nearest": self._nearest(vector),
            "rules": [],
        }
        return Classification(category, probabilities[category], probabilities, margin, evidence)

    def _nearest(self, vector: np.ndarray) -> list[dict[str, object]]:
        similar = self._arrays["vectors"] @ vector
        return [
            {
                "example": self._examples[row].text[:200],
                "category": self._examples[row].category,
                "intent": self._examples[row].intent,
                "similarity": round(float(similar[row]), 3),
            }
            for row in np.argsort(-similar)[:NEAREST]
        ]


def fingerprint(categories: Mapping[str, Category], model: str) -> str:
    """Changes whenever what was learned from these categories would change."""
    content = {name: category.model_dump(mode="json") for name, category in categories.items()}
    text = json.dumps([_VERSION, model, content])
    return hashlib.sha256(text.encode()).hexdigest()


def _examples(categories: Mapping[str, Category]) -> list[_Example]:
    found = []
    for name, category in categories.items():
        grouped = category.examples
        intents = grouped if isinstance(grouped, dict) else {name: grouped}
        found += [_Example(t, name, i) for i, texts in intents.items() for t in texts]
    return found
