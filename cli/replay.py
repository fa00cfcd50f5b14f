"""`--replay`: the learned order, recomputed from a file of interactions."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from config.errors import UsageError
from config.loader import load
from config.models import Settings
from race.routing_state import ranking_of
from routing.ranking.fold import from_json
from routing.ranking.reward import observations
from routing.ranking.standings import Change
from runtime.whatif import changed, what_if
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
    found = what_if(settings, changed(settings.ranking, said), rows)
    for category, (usual, order) in found.orders.items():
        note = "as it was" if order == usual else f"was {' > '.join(usual)}"
        print(f"{category}: {' > '.join(order)} ({note})")
    print(f"{found.drawn} of {found.requests} requests were drawn at random and can be reweighted")
    if found.missing is not None:
        print(found.missing)
    for one in found.figures():
        print(f"{one.label}: {one.was} → {one.would} (95%: {one.low} to {one.high})")
    return 0


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
