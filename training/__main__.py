"""Trains the classifier that the repository ships: `python -m training`.

Needs `requirements-training.txt` and about half an hour of two cores. First every eighth writer is
left out: what is then right on their prompts tells how well strangers are understood, and how far
the probabilities must be tempered. Then a last epoch takes everything in, and what decides halfway
through the encoder is learned. The results are written to `routing/classifier/model`.
"""

from __future__ import annotations

import argparse
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from routing.classifier.classifier import MODEL
from routing.classifier.learning import softmax, temperature
from training import data, early, export
from training.finetune import Plan, Tuned, Tuner
from vectorstore.e5 import E5File

STAGES = ("measured", "final", "fitted", "early")
APART = 8
"""One writer in so many is left out at first."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("data/training"), help="for what is kept")
    parser.add_argument("--epochs", type=int, default=Plan().epochs)
    parser.add_argument("--layers", type=int, default=Plan().layers, help="of the encoder, of 12")
    parser.add_argument("--rank", type=int, default=Plan().rank, help="of each matrix' change")
    parser.add_argument("--out", type=Path, default=MODEL, help="the folder of the results")
    parser.add_argument(
        "--every", type=int, default=1, help="learn from every so many-th prompt only, for a trial"
    )
    parser.add_argument(
        "--temperature", type=float, default=0.92, help="near what the first stage prints"
    )
    parser.add_argument("--stage", choices=STAGES, nargs="*")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    stages = arguments.stage or STAGES
    prompts = data.everything(data.categories())
    writers = sorted({one.writer for one in prompts} - {data.SHIPPED})
    apart = [one for one in writers if zlib.crc32(one.encode()) % APART == 0]
    known, held = data.held_out(prompts, apart)
    first, last = arguments.work / "measured.npz", arguments.work / "final.npz"
    known, held = known[:: arguments.every], held[:: arguments.every]
    plan = replace(Plan(), epochs=arguments.epochs, layers=arguments.layers, rank=arguments.rank)
    if "measured" in stages:
        _tune(plan, [prompts[row] for row in known], [prompts[row] for row in held], None, first)
    if "final" in stages:
        last_plan = replace(plan, epochs=1, rate=plan.rate / 2, seed=1)
        _tune(last_plan, prompts[:: arguments.every], [], Tuned.load(first.read_bytes()), last)
    if "fitted" in stages:
        export.write(Tuned.load(last.read_bytes()), arguments.temperature, arguments.out)
    if "early" in stages:
        early.write(arguments.out, apart)
    return 0


def _tune(
    plan: Plan,
    prompts: list[data.Prompt],
    held: list[data.Prompt],
    start: Tuned | None,
    path: Path,
) -> None:
    """Train, say after each epoch how the writers that were left out fare, and keep the result."""
    tuner = Tuner(E5File.installed(), plan)
    names = list(data.categories())
    begun = time.monotonic()

    def report(epoch: int, tuned: Tuned) -> None:
        path.write_bytes(tuned.dump())
        line = f"epoch {epoch + 1} after {time.monotonic() - begun:.0f} s"
        if held:
            logits = tuned.logits(tuner.vectors(tuned, [one.prompt for one in held]))
            line += f": {_told(logits, held, names)}"
        print(line, flush=True)

    print(f"{len(prompts)} prompts to learn from, {len(held)} left out", flush=True)
    tuner.tune(prompts, names, start, report=report)


def _told(logits: np.ndarray, held: list[data.Prompt], names: list[str]) -> str:
    classes = np.array([names.index(one.category) for one in held])
    right = logits.argmax(axis=1) == classes
    english = np.array([one.lang == "en" for one in held])
    divisor = temperature(logits, classes)
    sure = softmax(logits / divisor).max(axis=1) > 0.9
    return (
        f"{right[english].mean():.3f} right in English, {right[~english].mean():.3f} in other "
        f"languages; temperature {divisor:.2f}; sure and wrong {(sure & ~right).mean():.3f}"
    )


if __name__ == "__main__":
    sys.exit(main())
