"""`--replay`: the learned order, recomputed from a file of interactions."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from config.errors import UsageError
from config.loader import load
from config.models import Ranking as Weights
from config.models import Settings
from race.routing_state import ranking_of
from routing.ranking.reward import observations
from routing.ranking.snapshot import from_json
from routing.ranking.standings import Change
from routing.ranking.whatif import ENOUGH, Interval, outcome, scored
from telemetry.queries import Baseline
from telemetry.records import InteractionRow


def run(args: argparse.Namespace) -> int:
    settings = load(args.config, args.data)
    baseline, rows = _read(args.replay)
    if args.weights:
        return _what_if(settings, args.weights, rows)
    changes: list[Change] = []
    ranking = ranking_of(settings, changes.append)
    if baseline is not None:
        ranking.begin((baseline.at, baseline.request_id, 0), from_json(baseline.detail))
        print(f"from a baseline of {baseline.requests} interactions that were pruned")
    ranking.fold(observations(rows))
    for change in changes:
        moment = datetime.fromtimestamp(change.at, UTC).strftime("%Y-%m-%d %H:%M:%S")
        print(f"{moment}  {' > '.join(change.after)}  {change.why}")
    print(f"{len(rows)} interactions, {len(changes)} reorderings")
    return 0


def _what_if(settings: Settings, said: str, rows: Sequence[InteractionRow]) -> int:
    """How the order and the cost would have been with other weights."""
    other = settings.model_copy(update={"ranking": _weights(settings.ranking, said)})
    requests = [
        (row.get("session_id") or row["request_id"], list(observations([row])))
        for row in sorted(rows, key=lambda row: (row["at"], row["request_id"]))
        if row["category"] in settings.categories
    ]
    was, then = ranking_of(settings), ranking_of(other)
    before = [replace(row, weight=1.0) for row in scored(was, requests)]
    after = scored(then, requests)
    for category in settings.categories:
        order, usual = then.order(category), was.order(category)
        note = "as it was" if order == usual else f"was {' > '.join(usual)}"
        print(f"{category}: {' > '.join(order)} ({note})")
    logged, found = outcome(before), outcome(after)
    print(f"{len(after)} of {len(requests)} requests were drawn at random and can be reweighted")
    if found.success is None:
        print(
            f"not enough data: they count as {found.effective:.0f} conversations under these"
            f" weights, and {ENOUGH:.0f} are needed"
        )
        return 0
    for label, form, old, new in (
        ("succeeded", "{:.3f}", logged.success, found.success),
        ("USD for 1,000", "{:.4f}", _thousand(logged.cost_usd), _thousand(found.cost_usd)),
        ("first word, s", "{:.3f}", logged.ttft_s, found.ttft_s),
    ):
        if old is not None and new is not None:
            mean, low, high = (form.format(figure) for figure in new)
            print(f"{label}: {form.format(old.mean)} → {mean} (95%: {low} to {high})")
    return 0


def _thousand(cost: Interval | None) -> Interval | None:
    return None if cost is None else Interval(*(1_000 * figure for figure in cost))


def _weights(current: Weights, said: str) -> Weights:
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


def _read(path: Path) -> tuple[Baseline | None, list[InteractionRow]]:
    """The lines that `--log` prints; raises UsageError that names the first invalid one."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "replay") from error
    rows: list[InteractionRow] = []
    baseline: Baseline | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "baseline" in row:
                baseline = Baseline(**row["baseline"])
                continue
            rows.append(row)
            _ = row["request_id"], row["at"], row["category"], row["attempts"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"{path}:{number}: not an interaction ({error}); the file holds the lines that "
                "`python app.py --log all` prints",
                "replay",
            ) from error
    return baseline, rows
