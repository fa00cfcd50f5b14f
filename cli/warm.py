"""`--warm FILE`: an offline evaluation as evidence for the ranking.

Each answer becomes an attempt with the role `compare` in the log, so other replicas learn it too,
it is forgotten like everything else, and the same file counts once. Its weight is bounded
(`routing.ranking.arm.COMPARED`), whatever the length of the file.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from config.errors import UsageError
from config.models import Settings
from graph.router import Router
from telemetry.records import AttemptRow, InteractionRow

FORM = '{"prompt": "…", "arms": {"provider": {"reward": 0.8, "cost": 0.001}}}'


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A prompt, and each provider's reward (0 to 1) and cost in USD for it."""

    prompt: str
    category: str | None
    arms: Mapping[str, tuple[float, float | None]]


def run(args: argparse.Namespace) -> int:
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    async with Router.from_config(args.config, args.data) as router:
        found = _read(args.warm, router.settings)
        at, categories = time.time(), dict[str, int]()
        for number, line in enumerate(found):
            category = line.category or str(router.route(line.prompt)["category"])
            row, attempts = _rows(line, category, at + number * 1e-6, router.settings)
            if attempts:
                await router.services.log.write(row, attempts)
                categories[category] = categories.get(category, 0) + 1
        counted = ", ".join(f"{name} {count}" for name, count in sorted(categories.items()))
        print(f"{len(found)} evaluated prompts stored ({counted})")
    return 0


def _rows(
    line: Evaluated, category: str, at: float, settings: Settings
) -> tuple[InteractionRow, list[AttemptRow]]:
    said = json.dumps([line.prompt, sorted(line.arms.items())], ensure_ascii=False)
    request_id = f"warm-{hashlib.sha256(said.encode()).hexdigest()[:24]}"
    attempts = [
        AttemptRow(
            seq=seq,
            provider=name,
            model=settings.provider(name).resolved_model or "",
            host=settings.provider(name).host,
            role="compare",
            outcome="ok",
            served=False,
            quality=reward,
            cost_usd=cost,
            revision=0,
        )
        for seq, (name, (reward, cost)) in enumerate(line.arms.items())
        if name in settings.order(category)
    ]
    row = InteractionRow(
        request_id=request_id,
        at=at,
        category=category,
        evidence={"warm": True},
        success=True,
        prompt_hash=hashlib.sha256(line.prompt.encode()).hexdigest(),
        reason="added by --warm: an offline evaluation, not a request",
    )
    return row, attempts


def _read(path: Path, settings: Settings) -> list[Evaluated]:
    """Every line, or UsageError with the first invalid one: either the whole file is used or
    nothing."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "warm") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return [_evaluated(f"{path}, line {number}", line, settings) for number, line in numbered]


def _evaluated(where: str, line: str, settings: Settings) -> Evaluated:
    try:
        found = json.loads(line)
        prompt, category = found["prompt"], found.get("category")
        arms = {name: _arm(where, name, arm, settings) for name, arm in found["arms"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{where} is not an evaluation; each line must be {FORM}", "warm"
        ) from error
    if not isinstance(prompt, str) or not prompt.strip() or not arms:
        raise UsageError(f"{where} has no prompt or no arms; each line must be {FORM}", "warm")
    if category is not None and category not in settings.categories:
        known = ", ".join(settings.categories)
        raise UsageError(
            f"{where} has the unknown category {category!r}; known are {known}", "warm"
        )
    return Evaluated(prompt, category, arms)


def _arm(
    where: str, name: str, arm: Mapping[str, float], settings: Settings
) -> tuple[float, float | None]:
    if name not in {provider.name for provider in settings.providers}:
        raise UsageError(f"{where} has the unknown provider {name!r}", "warm")
    reward, cost = float(arm["reward"]), arm.get("cost")
    if not 0.0 <= reward <= 1.0:
        raise UsageError(f"{where}: the reward of {name} is {reward:g}, not from 0 to 1", "warm")
    if cost is not None and not (isfinite(float(cost)) and cost >= 0.0):
        raise UsageError(f"{where}: the cost of {name} is {cost!r}, not USD from 0 on", "warm")
    return reward, None if cost is None else float(cost)
