"""The command line as a user types it: exit codes, what is printed where, what is written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app import main
from cli.batch_file import backup
from tests.conftest import SettingsFor
from tests.upstream import FAULTS, Behaviour, Upstream

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Done:
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def served() -> Iterator[Upstream]:
    with Upstream.in_thread() as upstream:
        yield upstream


@pytest.fixture
def run(
    served: Upstream, settings_for: SettingsFor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Run `app.py` with these arguments on a configuration whose providers are at the upstream."""
    settings_for(served)

    def call(*arguments: str) -> Done:
        folders = ("--config", str(tmp_path / "config"), "--data", str(tmp_path / "data"))
        capfd.readouterr()  # what the fixtures said
        try:
            code = main([*arguments, *folders])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return call


def test_ask_streams_the_answer_to_stdout_and_its_trace_to_stderr(run: Run, served: Upstream):
    served.behave("first", Behaviour(text="The sky scatters blue light."))
    done = run("--ask", "Why is the sky blue?")
    assert (done.code, done.out) == (0, "The sky scatters blue light.\n")
    assert "category" in done.err
    assert "first (primary) answered" in done.err


def test_ask_json_prints_one_object(run: Run, served: Upstream):
    served.behave("first", FAULTS["401"])
    served.behave("second", FAULTS["401"])
    served.behave("cheap", Behaviour(text="From the cheap one."))
    done = run("--ask", "Why is the sky blue?", "--json")
    answer = json.loads(done.out)
    assert (done.code, answer["role"], answer["text"]) == (0, "fallback", "From the cheap one.")
    assert answer["evidence"]["nearest"] is not None


def test_ask_that_nobody_answers_exits_1_with_one_clear_line(run: Run, served: Upstream):
    for name in ("first", "second", "cheap"):
        served.behave(name, FAULTS["401"])
    done = run("--ask", "Why?")
    assert (done.code, done.out.strip()) == (1, "")
    assert done.err.splitlines()[-1].startswith("error: no provider answered (first: ")
    assert "Traceback" not in done.err


def test_batch_keeps_input_order_and_writes_an_error_as_a_line(
    run: Run, served: Upstream, tmp_path: Path
):
    served.behave("first", Behaviour(text="fine", header_delay_s=0.2), Behaviour(text="fine"))
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(
        '{"prompt": "One?", "id": "a"}\n{"prompt": "Two?", "category": "nonsense"}\n'
        '\n{"text": "no prompt"}\n{"prompt": "Three?", "category": "creative"}\n'
        '{"prompt": "Four?", "id": NaN}\n'
    )
    done = run("--batch", str(prompts), "--concurrency", "3")
    lines = results(tmp_path / "prompts.results.jsonl")
    assert done.code == 1
    assert [line["line"] for line in lines] == [1, 2, 4, 5, 6]
    assert [bool(line["error"]) for line in lines] == [False, True, True, False, True]
    assert (lines[0]["id"], lines[3]["category"]) == ("a", "creative")
    assert "nonsense" in lines[1]["error"]
    assert "not a JSON object" in lines[4]["error"]
    assert "5 prompts" in done.out


def test_batch_resumes_what_is_missing_and_tries_its_errors_again(
    run: Run, served: Upstream, tmp_path: Path
):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("One?\nTwo?\nThree?\n")
    out = tmp_path / "out.jsonl"
    kept = {"line": 1, "id": None, "prompt": "One?", "answer": "kept", "error": None}
    failed = {"line": 2, "id": None, "prompt": "Two?", "answer": None, "error": "it failed"}
    out.write_text(f"{json.dumps(kept)}\n{json.dumps(failed)}\n")
    served.behave("first", Behaviour(text="new"))
    done = run("--batch", str(prompts), "--out", str(out), "--resume")
    assert done.code == 0
    assert [line["answer"] for line in results(out)] == ["kept", "new", "new"]
    assert len(served.calls("first")) == 2
    assert not out.with_name("out.jsonl.partial").exists()


def test_batch_without_resume_keeps_the_results_that_it_replaces(
    run: Run, served: Upstream, tmp_path: Path
):
    prompts, out = tmp_path / "prompts.txt", tmp_path / "out.jsonl"
    prompts.write_text("One?\n")
    for answer in ("paid", "new"):
        served.behave("first", Behaviour(text=answer))
        run("--batch", str(prompts), "--out", str(out))
    assert [line["answer"] for line in results(out)] == ["new"]
    assert [line["answer"] for line in results(backup(out))] == ["paid"]
    run("--batch", str(prompts), "--out", str(out), "--resume")
    assert [line["answer"] for line in results(backup(out))] == ["paid"]


def test_batch_asks_nothing_where_its_results_cannot_become_a_file(
    run: Run, served: Upstream, tmp_path: Path
):
    """They would take the place of what is there: of a device too, such as /dev/null."""
    prompts, folder, pipe = tmp_path / "prompts.txt", tmp_path / "folder", tmp_path / "pipe"
    prompts.write_text("One?\n")
    folder.mkdir()
    os.mkfifo(pipe)
    for out in (folder, pipe):
        done = run("--batch", str(prompts), "--out", str(out))
        assert (done.code, len(done.err.splitlines())) == (2, 1)
        assert str(out) in done.err
    assert served.calls() == []
    assert pipe.is_fifo()


def test_batch_that_is_interrupted_keeps_what_is_done(
    served: Upstream, settings_for: SettingsFor, tmp_path: Path
):
    settings_for(served)
    for name in ("first", "second", "cheap"):
        served.behave(name, Behaviour(text="fine"), FAULTS["hang before headers"])
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("One?\nTwo?\n")
    folders = ["--config", str(tmp_path / "config"), "--data", str(tmp_path / "data")]
    command = [sys.executable, "app.py", "--batch", str(prompts), "--concurrency", "1", *folders]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in its background ignores Ctrl-C, and so would what it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    partial = tmp_path / "prompts.results.jsonl.partial"
    while not (partial.exists() and partial.read_text().endswith("\n")):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "1 prompts left: continue with --resume" in err
    assert [line["answer"] for line in results(tmp_path / "prompts.results.jsonl")] == ["fine"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--batch", "missing.txt"), "there is no file missing.txt"),
        (("--log", "many"), "--log needs a number or `all`"),
        (("--search", "nonsense"), "there is no category `nonsense`"),
        (("--replay", "missing.jsonl"), "missing.jsonl cannot be read"),
        (("--ask", "   "), "the prompt is empty"),
        (("--resume",), "--resume goes with --batch"),
        (("--ask", "x", "--port", "1"), "--port goes with serving"),
    ],
)
def test_wrong_usage_exits_2_with_one_line_that_names_it(run: Run, arguments, said):
    done = run(*arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_invalid_config_exits_2_and_names_file_line_and_key(run: Run, tmp_path: Path):
    path = tmp_path / "config" / "providers.yaml"
    path.write_text(path.read_text() + "limts: {ttft_s: 1}\n")
    done = run("--priorities")
    assert done.code == 2
    assert "providers.yaml" in done.err
    assert "limts" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_check_tries_each_provider_and_names_what_is_wrong(run: Run, served: Upstream):
    served.models = ["first", "cheap"]
    served.behave("second", FAULTS["401"])
    done = run("--check")
    assert done.code == 0
    assert "auth" in done.out
    for name in ("first", "second", "cheap"):
        served.behave(name, FAULTS["503"])
    done = run("--check")
    assert (done.code, "no provider is usable" in done.err) == (1, True)


def test_log_priorities_and_replay_tell_of_what_happened(
    run: Run, served: Upstream, tmp_path: Path
):
    run("--ask", "Is everything well?")
    run("--ask", "Is everything still well?")
    done = run("--log", "all")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["winner"] for row in rows] == ["first", "first"]
    assert rows[0]["at"] < rows[1]["at"]
    assert "prompt" not in rows[0]
    assert len(run("--log", "1").out.splitlines()) == 1
    (tmp_path / "log.jsonl").write_text(done.out)
    assert "2 interactions" in run("--replay", str(tmp_path / "log.jsonl")).out
    told = json.loads(run("--priorities", "--json").out)
    counted = sum(row["n"] for standing in told.values() for row in standing["providers"])
    assert counted == 2


def test_route_is_a_dry_run(run: Run, served: Upstream):
    told = json.loads(run("--route", "Write a haiku about rain.", "--json").out)
    assert (told["category"], told["order"]) == ("creative", ["first", "second"])
    assert served.requests == 0


def test_ingest_names_what_it_skips(run: Run, tmp_path: Path):
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "tides.md").write_text("# Tides\n\nThe moon pulls the sea.\n")
    (folder / "empty.md").write_text("")
    done = run("--ingest", str(folder))
    assert done.code == 0
    assert "skipped" in done.out
    assert "empty.md" in done.out
    assert "unchanged" in run("--ingest", str(folder)).out


def test_serving_openly_without_keys_is_refused(run: Run):
    done = run("--host", "0.0.0.0", "--port", "0")
    assert done.code == 2
    assert "ROUTER_API_KEYS and ROUTER_UI_AUTH" in done.err


@pytest.mark.parametrize(
    ("environ", "said"),
    [({}, "set ROUTER_UI_AUTH"), ({"SPACE_ID": "a/b", "ROUTER_UI_AUTH": "a:b"}, "on a Space")],
)
def test_keys_are_not_taken_on_the_page_from_everybody(
    run: Run, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], said: str
):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    done = run("--allow-keys", "--port", "0")
    assert done.code == 2
    assert said in done.err
    assert "--allow-keys goes with serving" in run("--check", "--allow-keys").err


def results(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


HOSTILE = "Hello \x1b]52;c;aGk=\x07 and \x9b31m and \x1b[2J there."


def test_nothing_that_a_model_or_a_host_says_controls_the_terminal(run: Run, served: Upstream):
    served.behave("first", Behaviour(text=HOSTILE))
    body = {"error": {"message": f"refused {HOSTILE} Bearer abcdef0123456789"}}
    served.behave("second", Behaviour(status=400, body=body))
    for done in (
        run("--ask", HOSTILE),
        run("--ask", HOSTILE, "--json"),
        run("--check"),
        run("--log"),
        run("--route", HOSTILE),
        run("--priorities"),
    ):
        said = done.out + done.err
        assert said
        assert not [c for c in said if c not in "\n\t" and (ord(c) < 32 or 127 <= ord(c) < 160)]
        assert "abcdef0123456789" not in said


def test_batch_takes_and_gives_openai_s_form(run: Run, served: Upstream, tmp_path: Path):
    served.behave("first", Behaviour(text="fine"))
    chat = {"model": "auto", "messages": [{"role": "user", "content": "One?"}]}
    lines = [
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": chat},
        {"prompt": "Two?", "id": "b"},
        {"custom_id": "c", "method": "POST", "url": "/v1/chat/completions", "body": {}},
        {"custom_id": "d", "method": "POST", "url": "/v1/models", "body": {}},
        {"custom_id": "e", "method": "POST", "url": "/v1/responses", "body": {"input": "Hi?"}},
    ]
    prompts = tmp_path / "in.jsonl"
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = run("--batch", str(prompts))
    first, second, third, fourth, fifth = results(tmp_path / "in.results.jsonl")
    assert done.code == 1
    assert first["response"]["status_code"] == 200
    assert first["response"]["body"]["choices"][0]["message"]["content"] == "fine"
    assert first["response"]["body"]["router"]["provider"] == "first"
    assert (second["id"], second["answer"]) == ("b", "fine")
    assert (third["custom_id"], third["response"]["status_code"]) == ("c", 400)
    assert third["response"]["body"]["error"]["type"] == "invalid_request_error"
    assert fourth["response"] is None
    assert "`url`" in fourth["error"]["message"]
    assert fifth["response"]["body"]["object"] == "response"
    asked = len(served.calls())
    again = run("--batch", str(prompts), "--resume")
    assert again.code == 1
    assert results(tmp_path / "in.results.jsonl")[0] == first
    assert len(served.calls()) == asked, "what was answered is not asked again"


def test_a_batch_that_was_killed_twice_keeps_what_all_runs_had_done(
    run: Run, served: Upstream, tmp_path: Path
):
    served.behave("first", Behaviour(text="new"))
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("One?\nTwo?\nThree?\nFour?\n")
    out = tmp_path / "prompts.results.jsonl"

    def line(number: int, prompt: str, run: str) -> str:
        kept = {"line": number, "id": None, "prompt": prompt, "answer": run, "error": None}
        return json.dumps(kept) + "\n"

    out.write_text(line(4, "Four?", "first run"))
    Path(f"{out}.before").write_text(line(1, "One?", "second run"))
    Path(f"{out}.partial").write_text(line(3, "Three?", "third run") + '{"line": 2, "pro')
    assert run("--batch", str(prompts), "--resume").code == 0
    answers = [one["answer"] for one in results(out)]
    assert answers == ["second run", "new", "third run", "first run"]
    assert sorted(p.name for p in tmp_path.glob("prompts.*")) == [out.name, prompts.name]


def test_warm_takes_an_offline_evaluation_in_once(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "evaluated.jsonl"
    arms = {"first": {"reward": 0.2, "cost": 0.001}, "second": {"reward": 0.9, "cost": 0.001}}
    lines = [{"prompt": f"Sum {n}", "category": "technical", "arms": arms} for n in range(30)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = run("--warm", str(file))
    assert (done.code, done.out) == (0, "30 evaluated prompts stored (technical 30)\n")
    before = run("--priorities", "--json").out
    learned = json.loads(before)
    listed = learned["technical"]["providers"]
    means = {entry["provider"]: entry["mean"] for entry in listed}
    assert means["second"] > means["first"] + 0.3
    run("--warm", str(file))
    counted = [entry["n"] for entry in listed]
    again = json.loads(run("--priorities", "--json").out)
    listed = again["technical"]["providers"]
    assert [entry["n"] for entry in listed] == counted


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nonsense", "is not an evaluation"),
        ('{"prompt": "a", "arms": {}}', "no prompt or no arms"),
        ('{"prompt": "a", "arms": {"nobody": {"reward": 1}}}', "unknown provider 'nobody'"),
        ('{"prompt": "a", "arms": {"first": {"reward": 7}}}', "the reward of first is 7"),
        ('{"prompt": "a", "category": "x", "arms": {"first": {"reward": 1}}}', "category 'x'"),
    ],
)
def test_warm_names_the_line_that_is_wrong(run: Run, tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "evaluated.jsonl"
    file.write_text(line + "\n")
    done = run("--warm", str(file))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "line 1" in done.err


def test_replay_with_weights_says_what_would_have_been(run: Run, tmp_path: Path) -> None:
    run("--ask", "Why is the sky blue?")
    file = tmp_path / "log.jsonl"
    file.write_text(run("--log", "all").out)
    done = run("--replay", str(file), "--weights", "cost_weight=0.3, every=20")
    assert done.code == 0
    assert "not enough data" in done.out
    for said, wrong in (("price=1", "'price=1'"), ("margin=x", "'x'"), ("margin=7", "margin: ")):
        refused = run("--replay", str(file), "--weights", said)
        assert (refused.code, refused.out) == (2, "")
        assert wrong in refused.err


def test_commands_that_only_read_the_log_load_neither_langgraph_nor_a_model():
    heavy = ("langgraph", "langchain_core", "onnxruntime", "chromadb", "fastapi", "gradio")
    code = (
        "import sys, cli.log, cli.priorities, cli.replay, cli.undo;"
        f"print(*[name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_ray_that_is_not_installed_is_named_with_what_brings_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("One?\n")
    done = run("--batch", str(prompts), "--engine", "ray")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "pip install -r requirements-ray.txt" in done.err
    assert list(tmp_path.glob("prompts.results*")) == []
