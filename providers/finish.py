"""What the word means with which a host ends an answer."""

from __future__ import annotations

from collections.abc import Mapping, MutableSet
from dataclasses import dataclass, field

from config.models import FinishMeaning
from providers.vendor_words import FINISH_REASONS, NO_END, fused

MOST_UNKNOWN = 20
"""So many unknown words of a host are remembered; whoever sends more invents them as it goes."""


@dataclass(frozen=True, slots=True)
class FinishWords:
    """One host's words: its own by configuration, then every vendor's; `unknown` has the others."""

    host: str
    own: Mapping[str, FinishMeaning] = field(default_factory=dict)
    unknown: MutableSet[str] = field(default_factory=set)

    def meaning(self, word: object) -> FinishMeaning | None:
        """What the word means; None for no end, `error` for one that nobody knows."""
        if isinstance(word, dict):
            word = word.get("type") or word.get("reason")
        if word is None or word is False:
            return None
        said = fused(str(word))
        for name, meaning in self.own.items():
            if fused(name) == said:
                return meaning
        if said in NO_END and (said or not str(word).strip()):
            return None
        known = FINISH_REASONS.get(said) or FINISH_REASONS.get(fused(str(word).partition(":")[0]))
        if known is None and len(self.unknown) < MOST_UNKNOWN:
            self.unknown.add(str(word)[:60])
        return known or "error"
