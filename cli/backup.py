"""`--backup FOLDER` and `--restore FOLDER`: the contents of a data folder that cannot be recreated.

The log, batches and the search's threads are copied by SQLite's own backup, which takes a
consistent state while a service is running; uploaded documents and rows that wait for a database
are copied as files. The rest, the vectors and the classifier's cache, is rebuilt from these.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path

from cli import ingest
from config.errors import StorageError, UsageError
from config.loader import load
from runtime.reports import VERSION

MARK = "backup.json"
FOLDERS = ("documents", "spool")
REBUILT = frozenset({"knowledge.db"})
BUSY_S = 30.0


def run(args: argparse.Namespace) -> int:
    """Either of the two; exit code 0."""
    return _restore(args) if args.restore else _backup(args)


def _backup(args: argparse.Namespace) -> int:
    settings, target = load(args.config, args.data), Path(args.backup)
    source: Path = settings.data_dir
    if target.exists() and any(target.iterdir()):
        raise UsageError(f"{target} is not empty: name a new folder", "backup")
    url = settings.environment.database_url
    elsewhere = url is not None and not url.startswith("sqlite")
    made = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file in _databases(source):
            _copy(file, target / file.name)
            made.append(file.name)
        for name in FOLDERS:
            if _holds(source / name):
                shutil.copytree(source / name, target / name)
                made.append(f"{name}/")
        about = {"made_at": time.time(), "version": VERSION, "holds": made}
        (target / MARK).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}") from error
    print(f"{', '.join(made) or 'nothing'} saved in {target}")
    if elsewhere:
        print("the log is in PostgreSQL: save it with pg_dump", file=sys.stderr)
    return 0


def _restore(args: argparse.Namespace) -> int:
    settings, source = load(args.config, args.data), Path(args.restore)
    target: Path = settings.data_dir
    if not (source / MARK).is_file():
        raise UsageError(f"{source} was not made by --backup: it has no {MARK}", "restore")
    files = _databases(source)
    folders = [name for name in FOLDERS if (source / name).is_dir()]
    for name in [file.name for file in files] + folders:
        if _holds(target / name):
            raise UsageError(
                f"{target / name} already exists: stop the service and move it away", "restore"
            )
    for file in files:
        _check(file)
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name in folders:
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        for file in files:
            _copy(file, target / file.name)
    except OSError as error:
        raise StorageError(f"{target} cannot be written: {error.strerror}") from error
    print(f"{', '.join([f.name for f in files] + folders) or 'nothing'} restored to {target}")
    if "documents" in folders:
        return ingest.run(argparse.Namespace(**{**vars(args), "ingest": target / "documents"}))
    return 0


def _holds(path: Path) -> bool:
    """Whether it exists: a file, or a folder that contains one."""
    return path.is_file() or any(f.is_file() and f.stat().st_size for f in path.rglob("*"))


def _databases(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.db") if file.name not in REBUILT)


def _copy(source: Path, target: Path) -> None:
    """One consistent state, even while others write; raises StorageError. Never leaves half a
    file."""
    half = target.with_suffix(".half")
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=BUSY_S)) as here,
            closing(sqlite3.connect(half)) as there,
        ):
            here.backup(there)
        os.replace(half, target)
    except sqlite3.Error as error:
        half.unlink(missing_ok=True)
        raise StorageError(f"{source} cannot be copied to {target}: {error}") from error


def _check(file: Path) -> None:
    """Raises StorageError for a damaged copy."""
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            (found,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise StorageError(f"{file} is damaged ({found}): nothing was restored")
