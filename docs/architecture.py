"""Writes docs/architecture.md: `python -m docs.architecture` (`--check` only compares).

The picture of the packages comes from import-linter's contract, each module's line from the first
sentence of its docstring, so that neither can be out of date.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"

PACKAGES = {
    "cli": "the command line, one file per command",
    "ui": "the web page",
    "api": "the HTTP service, one file per dialect",
    "web": "checks and limits before every request to the page and the API",
    "graph": "the LangGraph application and its entry point, `Router`",
    "nodes": "the nodes of the graph, one file each",
    "runtime": "what a running router does beside its requests",
    "discovery": "the search for better models",
    "race": "one request: its state, the race, its attempts, and the permits to call",
    "batches": "files and batches that wait in the database to be answered",
    "providers": "models at their hosts",
    "vectorstore": "embeddings, ingest, retrieval",
    "telemetry": "the interactions log, metrics, traces, the console",
    "routing": "the pure algorithms, without I/O: classification, ranking, quality",
    "config": "the configuration: the only reader of its files and of the environment",
}

HEAD = """# Architecture

Made by `python -m docs.architecture` from the code itself.

```
            ┌─ primary ──┐
classify ──┤            ├─ join ── log ──?── rerank
            └─ fallback ─┘
```

`graph/builder.py` is this picture in code: all nodes, all edges. What a node does is one function
in `nodes/`; the two branches meet in `race/rendezvous.py`, and `race/machine.py`, a state machine
without I/O or clock, decides who speaks. [The race](race.md) explains the asynchronous
parts, [the glossary](glossary.md) the project's special terms.

## The packages

Imports point down, package by package, including type-checking imports; packages in one row do not
import each other. `lint-imports` checks it.

"""


def main() -> int:
    """Write the page; with `--check`, 1 if it is not what would be written."""
    text = page()
    if "--check" in sys.argv[1:]:
        return int(PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page() -> str:
    """The page as it should be."""
    parts = [HEAD]
    for row in layers():
        cells = (f"`{name}` {PACKAGES[name]}" for name in row)
        parts.append(f"1. {'; '.join(cells)}\n")
    parts.append("\n## The modules\n")
    for name, purpose in PACKAGES.items():
        parts.append(f"\n### {name}/: {purpose}\n\n")
        parts += (f"- `{path}`: {line}\n" for path, line in modules(name))
    return "".join(parts)


def layers() -> Iterator[list[str]]:
    """The rows of import-linter's contract, top to bottom."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = settings["tool"]["importlinter"]["contracts"]
    for row in contract["layers"]:
        yield [name.strip() for name in row.split("|")]


def modules(package: str) -> Iterator[tuple[str, str]]:
    """Each module of a package below it, with the first sentence of its docstring."""
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.name == "__init__.py":
            continue
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        sentence = " ".join(docstring.split("\n\n")[0].split())
        yield path.relative_to(ROOT).as_posix(), sentence


if __name__ == "__main__":
    sys.exit(main())
