"""How a run on several processes shares out the test files."""

from __future__ import annotations

from functools import cache

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

HEAVY = ("mark.browser", "mark.model")
AT_ONCE = 2


class Lanes(LoadFileScheduling):
    """A file is for one process, and what fills a core is for `AT_ONCE` processes at a time.

    Files that drive a browser or the embedded LLaMA would fight for the cores of a small machine;
    the others, which mostly wait, go on beside them.
    """

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        self._heavy = cache(self._is_heavy)

    def _is_heavy(self, file: str) -> bool:
        text = (self.config.rootpath / file).read_text(encoding="utf-8")
        return any(mark in text for mark in HEAVY)

    def _reschedule(self, node: WorkerController) -> None:
        if not self.workqueue or self._makes_room(node):
            super()._reschedule(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self._makes_room(node)
        super()._assign_work_unit(node)

    def _makes_room(self, node: WorkerController) -> bool:
        """Put a file that `node` may begin at the queue's head; False if there is none."""
        others = [work for other, work in self.assigned_work.items() if other is not node]
        full = sum(map(self._has_heavy, others)) >= AT_ONCE
        for file in self.workqueue:
            if not (full and self._heavy(file)):
                self.workqueue.move_to_end(file, last=False)
                return True
        return False

    def _has_heavy(self, work: dict[str, dict[str, bool]]) -> bool:
        return any(self._heavy(file) and not all(tests.values()) for file, tests in work.items())
