"""The command line: `python app.py` serves; each option below does one thing and ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from config.environment import quiet

COMMANDS = {
    "batch": "cli.batch",
    "ask": "cli.ask",
    "check": "cli.check",
    "search": "cli.search",
    "approve": "cli.search",
    "refuse": "cli.search",
    "undo": "cli.undo",
    "route": "cli.route",
    "ingest": "cli.ingest",
    "priorities": "cli.priorities",
    "log": "cli.log",
    "replay": "cli.replay",
    "prune": "cli.log",
    "teach": "cli.teach",
    "warm": "cli.warm",
    "backup": "cli.backup",
    "restore": "cli.backup",
}
"""The option that selects a command, and the module whose `run` does it."""

BELONGS_TO = {
    "host": ("serve",),
    "port": ("serve",),
    "insecure": ("serve",),
    "no_ui": ("serve",),
    "workers": ("serve",),
    "allow_keys": ("serve",),
    "out": ("batch",),
    "concurrency": ("batch",),
    "engine": ("batch",),
    "resume": ("batch",),
    "json": ("ask", "route", "priorities", "search"),
    "apply": ("search",),
    "review": ("search",),
    "agree": ("search",),
    "refresh": ("search",),
    "follow": ("log",),
    "weights": ("replay",),
}
"""Options that mean something to these commands only."""


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="app.py",
        description="A dynamic LLM router with a RAG fallback. Without a command: serve the web "
        "chat and the HTTP API.",
        epilog="Exit codes: 0 done, 1 the work failed, 2 wrong usage or invalid config.",
    )
    does = p.add_mutually_exclusive_group()
    does.add_argument("--batch", metavar="FILE", type=Path, help="answer a file of prompts")
    does.add_argument("--ask", metavar="PROMPT", help="answer one prompt on stdout")
    does.add_argument("--check", action="store_true", help="try each enabled provider live")
    does.add_argument("--search", metavar="CATEGORY", help="search for a better LLaMA")
    does.add_argument("--approve", metavar="THREAD", help="append what --review has tried")
    does.add_argument("--refuse", metavar="THREAD", help="refuse what --review has tried")
    does.add_argument("--undo", action="store_true", help="undo the last config change")
    does.add_argument("--route", metavar="PROMPT", help="where would this prompt go, and why?")
    does.add_argument(
        "--ingest",
        metavar="FOLDER",
        nargs="?",
        const="",
        help="update the knowledge base",
    )
    does.add_argument("--priorities", action="store_true", help="declared and learned order")
    does.add_argument("--log", metavar="N", nargs="?", const="20", help="the last interactions")
    does.add_argument(
        "--teach",
        metavar="FILE",
        nargs="?",
        const="",
        help="store corrections of the classifier; alone: list them",
    )
    does.add_argument(
        "--warm", metavar="FILE", type=Path, help="use an offline evaluation of the providers"
    )
    does.add_argument("--prune", action="store_true", help="apply `retention` to the log now")
    does.add_argument("--replay", metavar="FILE", type=Path, help="recompute the learned order")
    does.add_argument(
        "--backup", metavar="FOLDER", type=Path, help="save what the data folder holds"
    )
    does.add_argument("--restore", metavar="FOLDER", type=Path, help="bring back what was saved")
    p.add_argument("--config", metavar="DIR", type=Path, default=Path("config"))
    p.add_argument("--data", metavar="DIR", type=Path, default=Path("data"))
    p.add_argument("--host", help="address to serve on (default 127.0.0.1)")
    p.add_argument("--port", type=int, help="port to serve on (default 7860)")
    p.add_argument("--workers", metavar="N", type=int, help="serve with N processes (default 1)")
    p.add_argument("--insecure", action="store_true", help="serve openly without keys or login")
    p.add_argument(
        "--allow-keys",
        action="store_true",
        help="whoever is signed in may give keys on the page, which writes them to .env",
    )
    p.add_argument("--no-ui", action="store_true", help="serve the HTTP API without the page")
    p.add_argument("--out", metavar="FILE", type=Path, help="where --batch writes its results")
    p.add_argument("--concurrency", metavar="N", type=int, help="prompts at once (default 4)")
    p.add_argument(
        "--engine",
        choices=("local", "ray"),
        help="what answers --batch: this process (default), or a Ray cluster",
    )
    p.add_argument("--resume", action="store_true", help="skip what --out already answered")
    p.add_argument("--json", action="store_true", help="print one JSON object")
    p.add_argument("--apply", action="store_true", help="try the best candidate and append it")
    p.add_argument("--review", action="store_true", help="try the best candidate, then ask")
    p.add_argument(
        "--refresh", action="store_true", help="update prices and offers from live sources first"
    )
    p.add_argument("--agree", action="store_true", help="with --apply: agree to a model's licence")
    p.add_argument("--follow", action="store_true", help="keep printing new interactions")
    p.add_argument(
        "--weights", metavar="NAME=VALUE,…", help="with --replay: what if `ranking` had these?"
    )
    p.add_argument("--log-json", action="store_true", help="the process's own log as JSON lines")
    return p


def command_of(p: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """The command that was asked for; options of another one are refused by name."""
    chosen = next((n for n in COMMANDS if getattr(args, n) not in (None, False)), "serve")
    for option, commands in BELONGS_TO.items():
        if getattr(args, option) not in (None, False) and chosen not in commands:
            takers = " or ".join("serving" if c == "serve" else f"--{c}" for c in commands)
            p.error(f"--{option.replace('_', '-')} goes with {takers}")
    return chosen


def main(argv: Sequence[str] | None = None) -> int:
    p = parser()
    args = p.parse_args(argv)
    chosen = command_of(p, args)
    quiet()
    from telemetry.console import clean_streams

    with clean_streams():
        return dispatch(args, chosen)


def dispatch(args: argparse.Namespace, chosen: str) -> int:
    from importlib import import_module

    from telemetry.console import configure, exit_code

    configure(json=args.log_json)
    run: Callable[[argparse.Namespace], int] = import_module(COMMANDS.get(chosen, "cli.serve")).run
    return exit_code(lambda: run(args))


if __name__ == "__main__":
    sys.exit(main())
