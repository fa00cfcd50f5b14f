"""Probes that are made of requests."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from config.editor import undo
from config.errors import AlreadyThereError, UsageError
from config.made_probes import NewProbe, add_probe, difference
from config.probe_sets import PROBES_FILE, load_made, load_probes

ONE = NewProbe("request-1", "technical", "Which port does HTTPS use?", "contains", "443, TCP")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    return Path(shutil.copytree("config/demo", tmp_path / "config")), tmp_path / "data"


def test_it_is_asked_besides_the_set_of_its_category_alone(folders):
    shipped = {c: load_probes(folders[0], c) for c in ("technical", "general")}
    add_probe(*folders, ONE, "asked twice a day")
    asked = load_probes(folders[0], "technical").probes
    assert len(asked) == len(shipped["technical"].probes) + 1
    assert asked[-1].checks[0].contains == ("443", "TCP")
    assert load_probes(folders[0], "general") == shipped["general"]


def test_what_is_shown_first_is_what_is_written(folders):
    lines = difference(*folders, ONE)
    assert not (folders[0] / PROBES_FILE).exists()
    assert "-probes: []" in lines
    assert "+  prompt: Which port does HTTPS use?" in lines
    add_probe(*folders, ONE, "why")
    written = (folders[0] / PROBES_FILE).read_text().splitlines()
    assert [line[1:] for line in lines if line.startswith("+")] == written[-9:]


def test_several_are_kept_with_what_others_wrote_and_undone_one_by_one(folders):
    add_probe(*folders, ONE, "why")
    file = folders[0] / PROBES_FILE
    first = file.read_text()
    evil = 'He said: "no"\n# not a comment\n- id: x, 雨, </script>'
    add_probe(*folders, replace(ONE, id="request-2", prompt=evil), "why")
    assert load_made(folders[0]).probes[1].prompt == evil
    assert "the probe `request-2`" in undo(*folders)
    assert file.read_text() == first
    undo(*folders)
    assert load_made(folders[0]).probes == ()


def test_a_request_is_a_probe_once(folders):
    add_probe(*folders, ONE, "why")
    with pytest.raises(AlreadyThereError, match="`request-1` already"):
        add_probe(*folders, ONE, "why")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"prompt": "Why?"}, "this one has 4"),
        ({"prompt": "x" * 2001}, "this one has 2,001"),
        ({"expected": " "}, "say what a right answer has"),
        ({"kind": "numeric", "expected": "many"}, "is no number"),
        ({"kind": "python"}, "a check is one of"),
        ({"level": "odd"}, "a level is one of"),
    ],
)
def test_what_is_no_probe_is_refused_in_one_line(folders, changes: dict[str, str], why: str):
    with pytest.raises(UsageError, match=why):
        difference(*folders, replace(ONE, **changes))


def test_a_pattern_that_is_none_leaves_the_file_as_it_is(folders):
    with pytest.raises(UsageError, match="not a regular expression"):
        add_probe(*folders, replace(ONE, kind="regex", expected="("), "why")
    assert not (folders[0] / PROBES_FILE).exists()
