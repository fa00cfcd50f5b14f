"""The pictures of docs/classification.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np


def draw(
    names: Sequence[str],
    counts: np.ndarray,
    bins: Sequence[tuple[float, float, int]],
    folder: Path,
) -> None:
    """Write `classification-confusion.svg` and `classification-calibration.svg`."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "classification"  # the same figures, the same file
    folder.mkdir(parents=True, exist_ok=True)
    _confusion(names, counts, folder / "classification-confusion.svg")
    _calibration(bins, folder / "classification-calibration.svg")


def _confusion(names: Sequence[str], counts: np.ndarray, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(counts, cmap="Blues")
    for row, column in np.ndindex(counts.shape):
        dark = counts[row, column] > counts.max() / 2
        colour = "white" if dark else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("chosen")
    axes.set_ylabel("true")
    figure.savefig(path, metadata={"Date": None})


def _calibration(bins: Sequence[tuple[float, float, int]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.plot((0, 1), (0, 1), color="grey", linestyle="--", linewidth=1)
    sure, right, sizes = zip(*bins, strict=True)
    axes.plot(sure, right, color="tab:blue")
    axes.scatter(sure, right, s=[10 + 4 * size for size in sizes], color="tab:blue", alpha=0.6)
    for x, y, size in bins:
        axes.annotate(str(size), (x, y), textcoords="offset points", xytext=(6, -12), fontsize=8)
    axes.set_xlim(0.3, 1.02)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("probability of the likeliest category")
    axes.set_ylabel("how often it was the right one")
    figure.savefig(path, metadata={"Date": None})
