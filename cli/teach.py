"""`--teach FILE`: corrected examples for the classifier; `--teach` alone lists the corrections."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import json
from pathlib import Path

from config.errors import UsageError
from graph.router import Router


def run(args: argparse.Namespace) -> int:
    return asyncio.run(_run(args))


async def _run(args: argparse.Namespace) -> int:
    async with Router.from_config(args.config, args.data) as router:
        if not args.teach:
            for lesson in await router.taught():
                print(json.dumps(lesson, ensure_ascii=False))
            return 0
        corrections = _read(Path(args.teach), list(router.settings.categories))
        for prompt, category in corrections:
            await router.teach(prompt, category, by=_user(), kind="prompt", learn=False)
        print(f"{len(corrections)} corrections stored; {len(await router.taught())} are in force")
    return 0


def _read(path: Path, categories: list[str]) -> list[tuple[str, str | None]]:
    """Every line, or UsageError with the first invalid one: either the whole file is used or
    nothing."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}", "teach") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    return [_correction(f"{path}, line {number}", line, categories) for number, line in numbered]


def _correction(where: str, line: str, categories: list[str]) -> tuple[str, str | None]:
    try:
        found: object = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("prompt"), str):
        wanted = '{"prompt": "…", "category": "…"}'
        raise UsageError(f"{where} is not a correction; each line must be {wanted}", "teach")
    if not found["prompt"].strip():
        raise UsageError(f"{where} has an empty prompt", "teach")
    category = found.get("category", "")
    if category is not None and category not in categories:
        known = ", ".join(categories)
        raise UsageError(
            f"{where} has the unknown category {category!r}; known are {known}, and null takes a "
            "correction back",
            "teach",
        )
    return found["prompt"], category


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "command line"
