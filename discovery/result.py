"""What a search gives back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from discovery.candidates import Candidate


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The candidates for a category, best first, and how they were found."""

    category: str
    candidates: tuple[Candidate, ...]
    asked: Mapping[str, int]
    """How many models each source named."""
    problems: tuple[str, ...]
    """A sentence for each source that failed."""
    cached_at: float | None
    """Unix time of the oldest answer that was not asked for anew; None: all of them were."""
    now: float
    embedded_host: str | None = None
    """The host that can load weights on this machine, if it is enabled."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why candidates (by key) were refused lately."""

    def servable(self, candidate: Candidate) -> bool:
        """Whether a host lists it, or this machine could load it."""
        return bool(candidate.offers or (candidate.weights and self.embedded_host))

    def best(self, passed_over: Collection[str] = ()) -> Candidate | None:
        """The first to try without a person's word: new, servable, free for commercial use.

        `passed_over` are keys of candidates whose licence somebody did not agree to.
        """
        return next(
            (
                c
                for c in self.candidates
                if self.servable(c)
                and not c.configured
                and c.key not in self.refused
                and c.key not in passed_over
                and not c.non_commercial
            ),
            None,
        )

    def find(self, name: str) -> Candidate | None:
        """The candidate that a person means: by key, name, or its id at a host."""
        wanted = name.lower()
        for c in self.candidates:
            names = {c.key, c.name, c.evidence.name, *(offer.model for offer in c.offers)}
            if wanted in {n.lower() for n in names}:
                return c
        return None
