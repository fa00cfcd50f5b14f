"""What if the ranking had other weights: how requests would have fared, from the log alone.

One core for `--replay FILE --weights` and for the page's sliders.

Clipped, self-normalised inverse propensity scoring (Swaminathan and Joachims, The Self-Normalized
Estimator for Counterfactual Learning, 2015): each logged request counts by the probability with
which the other settings would have asked the same provider, over the probability with which it was
asked. Errors are taken over conversations, whose turns are alike. What the other settings would
have learned from answers that nobody gave is not known; they learn from the same rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import ValidationError

from config.errors import UsageError
from config.models import Ranking as Weights
from config.models import Settings
from race.routing_state import ranking_of
from routing.ranking.ranking import Ranking
from routing.ranking.reward import Observation, observations
from telemetry.queries import Wanted
from telemetry.records import InteractionRow

CLIP = 20.0
"""No request counts more often than this: a small bias for a bounded variance."""

ENOUGH = 50.0
"""Effective conversations (Kish, Survey Sampling, 1965) below which nothing is said."""

Z95 = 1.96


class Interval(NamedTuple):
    """A mean with its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Scored:
    """One request: how it went, and how much likelier the other settings would have asked so."""

    conversation: str
    weight: float
    success: float
    cost_usd: float | None
    ttft_s: float | None


class Outcome(NamedTuple):
    """Means a request; None where there is not enough data."""

    success: Interval | None
    cost_usd: Interval | None
    ttft_s: Interval | None
    effective: float
    """Conversations that the weighted ones are worth."""


def scored(ranking: Ranking, requests: Iterable[tuple[str, Sequence[Observation]]]) -> list[Scored]:
    """Fold the requests, each with its conversation, in their order into a ranking with the other
    settings, and score each by what that ranking knew before.

    A request whose provider was not drawn (a named provider, a conversation that stayed) says
    nothing of another draw and is left out.
    """
    found = []
    for conversation, attempts in requests:
        first = next((seen for seen in attempts if seen.role == "primary"), None)
        if first is not None and first.propensity and first.outcome != "skipped":
            chance = ranking.chances(first.category).get(first.provider, 0.0)
            found.append(
                Scored(
                    conversation,
                    min(CLIP, chance / first.propensity),
                    float(first.outcome == "ok"),
                    first.cost_usd,
                    None if first.ttft_ms is None else first.ttft_ms / 1_000,
                )
            )
        ranking.fold(attempts)
        ranking.settle()
    return found


def outcome(rows: Sequence[Scored]) -> Outcome:
    """What the rows come to under the other settings."""
    totals: dict[str, float] = {}
    for row in rows:
        totals[row.conversation] = totals.get(row.conversation, 0.0) + row.weight
    whole, squares = sum(totals.values()), sum(total**2 for total in totals.values())
    effective = whole**2 / squares if squares else 0.0
    if effective < ENOUGH:
        return Outcome(None, None, None, effective)
    return Outcome(
        _interval([(row, row.success) for row in rows]),
        _interval([(row, row.cost_usd) for row in rows if row.cost_usd is not None]),
        _interval([(row, row.ttft_s) for row in rows if row.ttft_s is not None]),
        effective,
    )


def _interval(rows: Sequence[tuple[Scored, float | None]]) -> Interval | None:
    """The weighted mean; its error by linearisation over the conversations."""
    weights = np.array([row.weight for row, _ in rows])
    values = np.array([value for _, value in rows], dtype=float)
    whole = float(weights.sum())
    if whole <= 0.0:
        return None
    mean = float((weights * values).sum()) / whole
    names = {name: n for n, name in enumerate(dict.fromkeys(row.conversation for row, _ in rows))}
    off = np.zeros(len(names))
    np.add.at(off, [names[row.conversation] for row, _ in rows], weights * (values - mean))
    half = Z95 * sqrt(float((off**2).sum())) / whole
    return Interval(mean, mean - half, mean + half)


if TYPE_CHECKING:
    from race.services import Services

MOST = 10_000
"""Requests of the last days that are weighed, the newest ones: some seconds of one core."""

DAY_S = 86_400.0


class Figure(NamedTuple):
    """A mean a request as it was, and as it would have been with its 95% interval."""

    label: str
    was: str
    would: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What was, and what would have been."""

    orders: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
    """By category, the order that these requests alone give under the weights in force, and under
    the others."""
    requests: int
    drawn: int
    """Of them, those whose provider was drawn by chance: no others can be weighed anew."""
    was: Outcome
    would: Outcome

    @property
    def missing(self) -> str | None:
        """Why there are no figures, if there are none."""
        if self.would.success is not None:
            return None
        return (
            f"not enough data: they count as {self.would.effective:.0f} conversations under these"
            f" weights, and {ENOUGH:.0f} are needed"
        )

    def figures(self) -> Iterator[Figure]:
        """What is known of both, for people to read; nothing where data is `missing`."""
        was, would = self.was, self.would
        for label, form, old, new in (
            ("succeeded", "{:.3f}", was.success, would.success),
            ("USD for 1,000", "{:.4f}", _thousand(was.cost_usd), _thousand(would.cost_usd)),
            ("first word, s", "{:.3f}", was.ttft_s, would.ttft_s),
        ):
            if old is not None and new is not None:
                yield Figure(label, form.format(old.mean), *(form.format(one) for one in new))


def _thousand(cost: Interval | None) -> Interval | None:
    return None if cost is None else Interval(*(1_000 * figure for figure in cost))


def what_if(settings: Settings, weights: Weights, rows: Sequence[InteractionRow]) -> WhatIf:
    """The same requests under these weights. Blocks, for some 0.2 ms a request."""
    other = settings.model_copy(update={"ranking": weights})
    requests = [
        (row.get("session_id") or row["request_id"], list(observations([row])))
        for row in sorted(rows, key=lambda row: (row["at"], row["request_id"]))
        if row["category"] in settings.categories
    ]
    was, then = ranking_of(settings), ranking_of(other)
    before = [replace(row, weight=1.0) for row in scored(was, requests)]
    after = scored(then, requests)
    return WhatIf(
        {name: (was.order(name), then.order(name)) for name in settings.categories},
        len(requests),
        len(after),
        outcome(before),
        outcome(after),
    )


async def last_days(services: Services, weights: Weights, days: float) -> WhatIf:
    """The requests of the last days under these weights, in a thread. Raises StorageError."""
    wanted = Wanted(start=services.log.now() - days * DAY_S)
    rows = await services.log.page(wanted, MOST)
    return await asyncio.to_thread(what_if, services.settings, weights, rows)


def changed(current: Weights, said: str) -> Weights:
    """The settings changed by `name=value,…`; raises UsageError that names the mistake."""
    values: dict[str, float] = {}
    for part in said.split(","):
        name, equals, value = part.strip().partition("=")
        if name not in type(current).model_fields or not equals:
            known = ", ".join(type(current).model_fields)
            raise UsageError(
                f"--weights: {part.strip()!r} is not a name=value of {known}", "weights"
            )
        try:
            values[name] = float(value)
        except ValueError:
            raise UsageError(
                f"--weights: {value!r} is not a number for {name}", "weights"
            ) from None
    try:
        return type(current).model_validate({**current.model_dump(), **values})
    except ValidationError as error:
        wrong = error.errors()[0]
        raise UsageError(f"--weights: {wrong['loc'][0]}: {wrong['msg']}", "weights") from None
