"""`--batch FILE --engine ray`: Ray Data over the file, with routers on all nodes of a cluster.

The dataset has a row for each block of the file. A task on the machine of this process reads the
block, an actor answers it, and the blocks come back in the order of the input. Each answered line
is kept in the database at once (`batches/runs.py`): where a node is lost Ray runs its blocks
elsewhere, and only lines that were under way are asked again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from batches.database import BatchDatabase
from batches.runs import Run, new_run
from cli.batch_blocks import Block, cut
from cli.batch_file import Line
from cli.ray_cluster import connect, disconnect, plain
from config.models import Settings

if TYPE_CHECKING:
    import pyarrow as pa

    from cli.batch import Job

ACTOR_CPUS = 0.1
"""An actor waits for hosts most of the time. There is one for each CPU, but each claims only this
much: Ray runs a lost actor's blocks by starting that actor again, so there must be room for it on
the nodes that are left."""
CALLS = 2
"""Blocks under way in an actor: the next one fills what the end of another leaves free."""


class RayRun:
    """A connection to the cluster, in between `with`; called, it answers the lines of a job."""

    def __init__(self, settings: Settings, out: Path, concurrency: int, resume: bool) -> None:
        """`concurrency`: prompts at once, in each actor."""
        folders = {
            "data_dir": settings.data_dir.resolve(),
            "config_dir": settings.config_dir.resolve(),
        }
        self._settings = settings.model_copy(update=folders)
        self._concurrency = concurrency
        self._resume = resume
        self._name_file = out.with_name(out.name + ".run")
        self._database = BatchDatabase(settings.environment.database_url, settings.data_dir)
        self._run: Run | None = None

    def __enter__(self) -> Self:
        """Raises UsageError, ConfigError, and RouterError where there is no such cluster."""
        connect(self._settings)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        disconnect()
        if self._run is not None:  # the output is complete, and in its place
            self._run.forget()
            self._name_file.unlink(missing_ok=True)
        self._database.close()

    def __call__(self, job: Job) -> None:
        """Answer every line that has no result; RouterError where the cluster cannot."""
        name = self._name()
        blocks = list(cut(job.prompts, job.known))
        job.known.rewind()  # the results that were left out are taken again as the others come
        lines = self._lines(job, name, blocks) if blocks else iter(())
        for place, item in enumerate(job.prompts):
            line = job.known.take(item)
            if line is None:
                at, line = next(lines)
                assert at == place, f"line {at} came where {place} was due"
            job.add(place, line)
        self._run = Run(self._database, name)

    def _name(self) -> str:
        """That of the run which is resumed, else a new one; what others left is removed."""
        before = self._name_file.read_text() if self._name_file.exists() else None
        Run(self._database, new_run()).forget_older()
        if before is not None:
            Run(self._database, before).forget(errors_only=self._resume)
        if before is not None and self._resume:
            return before
        name = new_run()
        self._name_file.write_text(name)
        return name

    def _lines(self, job: Job, name: str, blocks: list[Block]) -> Iterator[tuple[int, Line]]:
        """Results with their places, in the order of the input."""
        import ray
        from ray.data import ActorPoolStrategy, TaskPoolStrategy

        from cli.batch_actor import Answerer, Task, read

        actors = min(len(blocks), max(1, int(ray.cluster_resources().get("CPU", 1))))
        task = Task(self._settings, name, job.prompts.jsonl, self._concurrency, actors)
        _configure_data()
        dataset = ray.data.from_items(blocks, override_num_blocks=len(blocks))
        dataset = dataset.map_batches(
            read,
            fn_args=(str(job.prompts.path.resolve()),),
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=0,
            compute=TaskPoolStrategy(size=1),
            label_selector={"ray.io/node-id": ray.get_runtime_context().get_node_id()},
        )
        dataset = dataset.map_batches(
            Answerer,
            fn_constructor_args=(task,),
            batch_format="pyarrow",
            batch_size=None,
            num_cpus=ACTOR_CPUS,
            compute=ActorPoolStrategy(
                size=actors,
                max_concurrent_calls_per_actor=CALLS,
                max_tasks_in_flight_per_actor=CALLS + 1,
                enable_true_multi_threading=True,
            ),
        )
        try:
            for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
                for row in cast("pa.Table", table).to_pylist():
                    yield row["place"], json.loads(row["body"])
        except ray.exceptions.RayError as error:
            raise plain(error) from error


def _configure_data() -> None:
    """Input order, no bars beside ours, and an end where nothing can go on."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = -1.0  # a block may take as long as its prompts do
