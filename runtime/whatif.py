"""What if the ranking had other weights: the order and the bill that requests would have had.

One core for `--replay FILE --weights` and for the page's sliders; the estimate itself, and what it
cannot know, is in `routing.ranking.whatif`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from pydantic import ValidationError

from config.errors import UsageError
from config.models import Ranking as Weights
from config.models import Settings
from race.routing_state import ranking_of
from routing.ranking.reward import observations
from routing.ranking.whatif import ENOUGH, Interval, Outcome, outcome, scored
from telemetry.queries import Wanted
from telemetry.records import InteractionRow

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
