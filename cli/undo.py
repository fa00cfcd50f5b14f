"""`--undo`: take back the last change that the application made to its config."""

from __future__ import annotations

import argparse

from config.editor import undo


def run(args: argparse.Namespace) -> int:
    print(undo(args.config, args.data))
    return 0
