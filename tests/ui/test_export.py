"""The log as files."""

import csv
import io
import json

import pytest

from tests.ui.test_replay import logged
from ui import export


def written(write, *rows):
    out = io.StringIO()
    write(rows, out)
    return out.getvalue()


def test_jsonl_has_a_request_a_line_with_its_attempts():
    lines = written(export.jsonl, logged(), logged(request_id="def")).splitlines()
    assert [json.loads(line)["request_id"] for line in lines] == ["abc", "def"]
    assert len(json.loads(lines[0])["attempts"]) == 2


def test_csv_has_an_attempt_a_line():
    rows = list(csv.DictReader(io.StringIO(written(export.csv, logged()))))
    assert [row["attempt_provider"] for row in rows] == ["star", "cheap"]
    assert {row["request_id"] for row in rows} == {"abc"}


def test_csv_has_the_time_as_people_read_it_and_the_texts_that_were_stored():
    stored = logged(prompt="Why?", answer="Because.")
    row = next(csv.DictReader(io.StringIO(written(export.csv, stored))))
    assert (row["time"], row["at"]) == ("2023-11-14T22:13:20.000+00:00", "1700000000.0")
    assert (row["prompt"], row["answer"]) == ("Why?", "Because.")


def test_a_request_without_attempts_has_its_line():
    rows = list(csv.DictReader(io.StringIO(written(export.csv, logged(attempts=[])))))
    assert [row["attempt_provider"] for row in rows] == [""]


SIGNS = ("=", "+", "-", "@", "|", "%", "＝", "＋", "－", "＠", "−", "\t", "\r", "\n")
BEFORE = ("", " ", "\n", "\t\r", "\ufeff", "\u200b", "\u00a0", "\x00", '"', "'", "\u3000 ")
BEFORE += ("\u202e", "\xad", "\u180e", "\u2066", "\ufe0f", "\U000e0001")


@pytest.mark.parametrize("sign", SIGNS)
def test_no_cell_is_a_formula_for_a_spreadsheet(sign: str):
    for before in BEFORE:
        cell = f"{before}{sign}cmd()"
        rows = list(csv.DictReader(io.StringIO(written(export.csv, logged(error=cell)))))
        assert rows[0]["error"] == f"'{cell}"


def test_an_ordinary_cell_stays_as_it_is():
    rows = list(csv.DictReader(io.StringIO(written(export.csv, logged(error=" a-b = c")))))
    assert rows[0]["error"] == " a-b = c"
