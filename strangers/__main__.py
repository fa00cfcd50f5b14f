"""Other people's clients, suites and servers against this project: `python -m strangers [SUITE…]`.

Each folder beside this file is a suite. One with a `requirements.txt` (a lock: every version
pinned) is run by pytest in a virtual environment of its own; one with a `package-lock.json` is run
by `node --test` over modules that npm installs without their scripts, and finds this checkout at
`$PROJECT`. A suite whose tests import the project lists `-r ../../requirements.txt` in its lock's
source, `requirements.in`.

Environments live outside the checkout, in `$STRANGERS_CACHE` (default `~/.cache/llm-router`), one
for each state of the lock; a second run installs nothing. All suites find one running service at
`$ROUTER_URL`, with the configuration of `strangers.service`.

    python -m strangers                 every suite; exit 1 if one fails
    python -m strangers python_clients  one of them
    python -m strangers --lock NAME     writes the suite's requirements.txt anew from its .in
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from strangers.service import running_service

HERE = Path(__file__).parent
ROOT = HERE.parent
UV = Path(sys.executable).with_name("uv")
PURPOSE = "Run other people's clients, suites and servers against this project."
NODE = "22"
"""The least major version of Node that the suites in JavaScript need."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites named, or all of them; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m strangers", description=PURPOSE)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(known())}")
    parser.add_argument("--lock", action="store_true", help="write the suites' locks anew")
    chosen = parser.parse_args(arguments)
    names = chosen.suites or known()
    if unknown := sorted(set(names) - set(known())):
        parser.error(f"there is no suite {', '.join(unknown)}; there are {', '.join(known())}")
    if chosen.lock:
        for name in names:
            lock(HERE / name)
        return 0
    return run(names)


def known() -> list[str]:
    """The names of the suites."""
    locks = [*HERE.glob("*/requirements.in"), *HERE.glob("*/package.json")]
    return sorted(path.parent.name for path in locks)


def lock(suite: Path) -> None:
    """Pin every package of a suite's environment in its `requirements.txt`."""
    options = ["--no-header", "--no-annotate", "--no-emit-index-url", "--quiet"]
    command = [str(UV), "pip", "compile", *options, "requirements.in", "-o", "requirements.txt"]
    subprocess.run([*command, "--python", sys.executable], cwd=suite, check=True)


def run(names: Sequence[str]) -> int:
    """Prepare each suite's environment, run its tests and sum up; 1 if one failed."""
    results: dict[str, tuple[bool, float]] = {}
    with running_service() as variables:
        for name in names:
            print(f"\n== {name}", flush=True)
            started = time.monotonic()
            results[name] = (run_suite(HERE / name, variables), time.monotonic() - started)
    print("\nStrangers:")
    for name, (passed, seconds) in results.items():
        print(f"  {'passed' if passed else 'FAILED'}  {name}  {seconds:.0f} s")
    failed = [name for name, (passed, _) in results.items() if not passed]
    print(f"suites: {len(results) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


def run_suite(suite: Path, variables: Mapping[str, str]) -> bool:
    """Whether the suite's tests pass, with `variables` added to the environment."""
    environment = {**os.environ, **variables, "PYTHONPATH": str(ROOT), "PROJECT": str(ROOT)}
    if (suite / "package.json").exists():
        environment["PATH"] = f"{node_bin()}{os.pathsep}{environment['PATH']}"
        modules = npm_environment(suite)
        done = subprocess.run(["node", "--test"], cwd=modules, env=environment)
        return done.returncode == 0
    python = python_environment(suite)
    # The project's own pytest settings belong to the project's own tests.
    command = [str(python), "-m", "pytest", "-q", "-ra", "-c", str(HERE / "pytest.ini"), "."]
    return subprocess.run(command, cwd=suite, env=environment).returncode == 0


def python_environment(suite: Path) -> Path:
    """The interpreter of the suite's virtual environment, made on first use."""
    folder = _cached(suite.name, (suite / "requirements.txt").read_bytes(), sys.version.encode())
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        quiet = [str(UV), "--quiet"]
        subprocess.run([*quiet, "venv", "--python", sys.executable, str(folder)], check=True)
        install = [*quiet, "pip", "install", "--python", str(python), "-r", "requirements.txt"]
        subprocess.run(install, cwd=suite, check=True)
        (folder / "complete").touch()
    return python


def npm_environment(suite: Path) -> Path:
    """A copy of the suite beside its installed modules, made on first use; tests kept fresh."""
    folder = _cached(suite.name, (suite / "package-lock.json").read_bytes())
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(suite, folder, dirs_exist_ok=True)
    if not (folder / "complete").exists():
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(install, cwd=folder, check=True)
        (folder / "complete").touch()
    return folder


def node_bin() -> str:
    """The folder of a Node that is new enough: the machine's, else the npm package `node`."""
    found = shutil.which("node")
    if found and int(_output([found, "--version"]).lstrip("v").split(".")[0]) >= int(NODE):
        return str(Path(found).parent)
    folder = _cached("node", NODE.encode())
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--no-audit", "--no-fund", "--loglevel=error", "--ignore-scripts"]
        # What the package `node` would install by a script of its own.
        subprocess.run(
            ["npm", "install", *options, f"node-{_platform()}@{NODE}"], cwd=folder, check=True
        )
        (folder / "complete").touch()
    return str(folder / "node_modules" / f"node-{_platform()}" / "bin")


def _platform() -> str:
    machine = "arm64" if os.uname().machine in ("arm64", "aarch64") else "x64"
    return f"{'darwin' if sys.platform == 'darwin' else 'linux'}-{machine}"


def _cached(name: str, *parts: bytes) -> Path:
    default = Path.home() / ".cache" / "llm-router"
    root = Path(os.environ.get("STRANGERS_CACHE", default))
    return root / f"{name}-{hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}"


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
