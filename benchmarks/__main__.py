"""`make bench`: every benchmark in turn, each in a process of its own."""

from __future__ import annotations

import argparse
import subprocess
import sys

PARTS = {
    "race": "the cases of the race on the real clock",
    "speed": "beside the bare client and LangChain, in one run",
    "peers": "over HTTP beside LangChain's with_fallbacks, in one run",
    "workers": "what a second worker brings",
    "two_by_two": "two replicas of two workers while their surroundings fail",
    "stream_cost": "CPU a stream",
    "classification": "accuracy, calibration and time, on prompts never trained on",
    "retrieval": "hit@5, MRR@10, the floor, and time at 10,000 chunks",
    "ranking": "the learner against an oracle, the best fixed model and a moving average",
    "ranking_verdicts": "what each source of verdicts is worth, and what a biased judge costs",
    "continuation": "live streams that are cut and gone on with by the embedded LLaMA",
    "search_order": "does the search's order of LLaMAs agree with public evidence?",
    "answers": "faults of an answer's form, on answers that nothing was mended by",
    "page": "from the backend's first token to the screen",
    "kill": "SIGKILL under load",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default all")
    chosen = parser.parse_args().parts or list(PARTS)
    if unknown := [part for part in chosen if part not in PARTS]:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(PARTS)}")
    failed = []
    for part in chosen:
        print(f"\n== {part}: {PARTS[part]}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{part}"], check=False).returncode:
            failed.append(part)
    if failed:
        print(f"\nmissed a target: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
