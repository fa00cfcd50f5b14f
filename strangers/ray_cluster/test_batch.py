"""`--batch FILE --engine ray` on real clusters, whose nodes and drivers are killed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app import main
from strangers.ray_cluster.clusters import FOLDER, RayCluster, actors, add_node, until
from tests.upstream import Behaviour, Call, Upstream

ROOT = Path(__file__).parents[2]
LINES = 120
AT_ONCE = 8  # two actors with four each
KEPT = "SELECT count(*) FROM batch_results WHERE batch_id LIKE 'run-%'"


class Stops:
    """Answers every call until so many have come; further ones are held until they are let go."""

    def __init__(self, upstream: Upstream, *after: int) -> None:
        self._upstream = upstream
        self._gates = [(number, asyncio.Event()) for number in after]
        upstream.log.clear()
        upstream.respond("scripted", self._answer)

    def _answer(self, call: Call) -> Behaviour:
        number = len(self._upstream.calls("scripted")) - 1
        gates = [gate for after, gate in self._gates if number >= after and not gate.is_set()]
        return Behaviour(text="Yes.", gates={-1: gates[0]} if gates else {})

    def let_go(self) -> None:
        """Of those that are held at the first stop that still holds any."""
        gate = next(gate for _, gate in self._gates if not gate.is_set())
        self._upstream.loop.call_soon_threadsafe(gate.set)

    def outcomes(self) -> Counter[str]:
        return Counter(call.outcome for call in self._upstream.calls("scripted"))


def prompts(folder: Path) -> Path:
    file = folder / "prompts.jsonl"
    lines = ({"id": f"n{n}", "prompt": f"Is {n} a number?"} for n in range(LINES))
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def command(file: Path, config: Path, data: Path, *more: str) -> list[str]:
    folders = ["--config", str(config), "--data", str(data)]
    return [
        sys.executable,
        str(ROOT / "app.py"),
        "--batch",
        str(file),
        "--engine",
        "ray",
        *folders,
        *more,
    ]


def results(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_neither_a_killed_node_nor_a_killed_driver_loses_or_doubles_a_line(
    cluster: RayCluster, tmp_path: Path
) -> None:
    file, log = prompts(tmp_path), tmp_path / "driver.log"
    stops = Stops(cluster.upstream, 40, 80)
    batch = command(file, cluster.config, cluster.data)
    with log.open("wb") as output:
        driver = subprocess.Popen(
            batch, cwd=tmp_path, env=cluster.environment, stdout=output, stderr=output
        )
    try:
        until(stops.outcomes, {"done": 40, "running": AT_ONCE}, log)
        until(lambda: cluster.rows(KEPT), [(40,)], log)

        [second] = cluster.nodes.worker_nodes
        cluster.nodes.remove_node(second, allow_graceful=False)
        until(lambda: stops.outcomes()["aborted"], 4, log)
        stops.let_go()
        # All slots are taken again, now on the node that is left.
        until(stops.outcomes, {"done": 76, "running": AT_ONCE, "aborted": 4}, log)
        until(lambda: cluster.rows(KEPT), [(76,)], log)
    finally:
        driver.kill()
        driver.wait()
    until(lambda: stops.outcomes()["running"], 0)
    stops.let_go()

    done = subprocess.run(
        [*batch, "--resume"],
        cwd=tmp_path,
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found = results(tmp_path / "prompts.results.jsonl")
    assert [line["id"] for line in found] == [f"n{n}" for n in range(LINES)]
    assert all(line["answer"] == "Yes." and line["error"] is None for line in found)
    assert stops.outcomes() == {"done": LINES, "aborted": 4 + AT_ONCE}
    asked = Counter(
        call.body["messages"][-1]["content"]
        for call in cluster.upstream.calls("scripted")
        if call.outcome == "done"
    )
    assert set(asked.values()) == {1}
    assert cluster.rows(KEPT) == [(0,)]
    until(actors, [])
    assert {path.name for path in tmp_path.iterdir()} == {
        "prompts.jsonl",
        "prompts.results.jsonl",
        "driver.log",
    }


def test_a_cluster_of_this_machine_s_own_needs_no_server_and_no_address(
    upstream: Upstream, config: Path, tmp_path: Path
) -> None:
    upstream.respond("scripted", lambda _: Behaviour(text="Yes."))
    file = tmp_path / "prompts.jsonl"
    body = {"model": "auto", "messages": [{"role": "user", "content": "Well?"}]}
    lines: list[dict[str, Any]] = [
        {"custom_id": f"c{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        for n in range(40)
    ]
    lines[20]["url"] = "/v1/nothing"
    file.write_text("\n\n".join(json.dumps(line) for line in lines))
    done = subprocess.run(
        command(file, config, tmp_path / "data"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "RAY_TMPDIR": FOLDER},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 1, done.stderr
    found = results(tmp_path / "prompts.results.jsonl")
    assert [line["custom_id"] for line in found] == [f"c{n}" for n in range(40)]
    assert [n for n, line in enumerate(found) if line["error"]] == [20]
    assert found[0]["response"]["body"]["choices"][0]["message"]["content"] == "Yes."
    assert "40 prompts" in done.stdout
    said = [line for line in done.stderr.splitlines() if "Prompts" not in line]
    # Ray prints this of every dataset with actors, whatever the level of its logs.
    assert [line for line in said if "has constructor arguments" not in line] == []


def test_a_database_in_a_file_is_refused_where_there_are_two_nodes(
    cluster: RayCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if len(cluster.nodes.worker_nodes) == 0:
        add_node(cluster.nodes)
    monkeypatch.setenv("RAY_ADDRESS", cluster.nodes.address)
    code = main(command(prompts(tmp_path), cluster.config, tmp_path / "data")[2:])
    said = capfd.readouterr().err.strip().splitlines()
    assert code == 2
    assert len(said) == 1
    assert "set ROUTER_DATABASE_URL" in said[0]


def test_a_cluster_that_is_not_there_is_one_clear_line(
    config: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    code = main(command(prompts(tmp_path), config, tmp_path / "data")[2:])
    said = capfd.readouterr().err.strip().splitlines()
    assert (code, len(said)) == (1, 1), said
    assert "127.0.0.1:9" in said[0]
