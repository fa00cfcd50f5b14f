"""Writes the table in docs/clients.md: `python -m docs.clients`.

The table is made of the suites of `strangers/`: a client is a test file that names it, what works
are its tests, and the version is the lock's.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
STRANGERS = ROOT / "strangers"
PAGE = ROOT / "docs" / "clients.md"

KEYS = ("CLIENT", "PACKAGE", "NEEDS", "WORKS")
"""What a test file says of its client; WORKS only where its tests are another's."""

BEGIN, END = "<!-- the table begins -->\n", "<!-- the table ends -->\n"


@dataclass(frozen=True)
class Client:
    """One line of the table."""

    name: str
    version: str
    works: tuple[str, ...]
    needs: str

    def line(self) -> str:
        return f"| {self.name} | {self.version} | {'; '.join(self.works)} | {self.needs} |"


def clients() -> Iterator[Client]:
    """Every client that a test names, in the order of the suites."""
    for path in sorted(STRANGERS.glob("*/*test*")):
        if (path.suffix == ".py" and (found := _python(path))) or (
            path.name.endswith(".test.js") and (found := _javascript(path))
        ):
            yield found


def _python(path: Path) -> Client | None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    said = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id in KEYS
    }
    if "CLIENT" not in said:
        return None
    tests = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    works = [n.removeprefix("test_").replace("_", " ") for n in tests if n.startswith("test_")]
    lock = (path.parent / "requirements.txt").read_text()
    version = re.search(rf"^{_plain(said['PACKAGE'])}==(.+)$", lock, re.MULTILINE)
    assert version is not None, f"{path}: {said['PACKAGE']} is not in the lock"
    return Client(said["CLIENT"], version[1], said.get("WORKS") or tuple(works), said["NEEDS"])


def _plain(package: str) -> str:
    return package.replace("_", "-")


def _javascript(path: Path) -> Client | None:
    text = path.read_text(encoding="utf-8")
    said = dict(re.findall(r"^// (client|package|needs): (.+)$", text, re.MULTILINE))
    if "client" not in said:
        return None
    works = [
        re.sub(r" through \$\{\w+\}$", "", name)
        for name in re.findall(r'test\(["`](.+?)["`],', text)
    ]
    lock = json.loads((path.parent / "package-lock.json").read_text())
    version = lock["packages"][f"node_modules/{said['package']}"]["version"]
    return Client(said["client"], version, tuple(works), said["needs"])


def page() -> str:
    """The page with the table as the tests have it now; the rest of it stays."""
    lines = ["| client | version | what works | what it needs |", "| --- | --- | --- | --- |"]
    table = "\n".join([*lines, *(client.line() for client in clients())]) + "\n"
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    return before + BEGIN + table + END + rest.split(END)[1]


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
