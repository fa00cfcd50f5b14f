"""A file that other processes read in blocks: the same lines as in the whole."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from cli.batch_blocks import LEAST_LINES, Block, cut, items_in
from cli.batch_file import Item, Known, Prompts, item_of

MANY = 3 * LEAST_LINES
FILES = {
    "plain": "".join(f"line {n}\n" for n in range(MANY)),
    "a mark of UTF-8 first": "\ufeff" + "".join(f"zeile ä{n}\n" for n in range(MANY)),
    "blank lines": "\n\n".join(f" line {n} " for n in range(MANY)) + "\n\n\n",
    "ends of Windows": "".join(f"line {n}\r\n" for n in range(MANY)),
    "ends of old machines": "".join(f"line {n}\r" for n in range(MANY)),
    "all ends": "".join(f"line {n}{end}" for n in range(MANY) for end in ("\r", "\n", "\r\n")),
    "other separators": "".join(f"a\u2028b\x0cc {n}\n" for n in range(MANY)),
    "no end": "\n".join(f"line {n}" for n in range(MANY)),
    "JSON": "".join(json.dumps({"id": n, "prompt": f"{n}?"}) + "\n\n" for n in range(MANY)),
    "long lines": "".join("x" * 700_000 + f"{n}\n" for n in range(4)),
}


def blocks_of(prompts: Prompts, out: Path, *, resume: bool = False) -> list[Block]:
    with closing(Known(out, resume=resume)) as known:
        return list(cut(prompts, known))


def read_in(prompts: Prompts, blocks: list[Block]) -> dict[int, Item]:
    found: dict[int, Item] = {}
    with prompts.path.open("rb") as file:
        for block in blocks:
            file.seek(block["offset"])
            raw = file.read(block["size"])
            found |= dict(items_in(block, raw, jsonl=prompts.jsonl))
    return found


@pytest.mark.parametrize("kind", FILES)
def test_blocks_have_the_lines_of_the_whole_file(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "prompts"
    file.write_bytes(FILES[kind].encode())
    prompts = Prompts(file)
    assert read_in(prompts, blocks_of(prompts, tmp_path / "out")) == dict(enumerate(prompts))


def test_lines_that_have_a_result_are_left_out_and_so_are_whole_blocks(tmp_path: Path) -> None:
    file, out = tmp_path / "prompts", tmp_path / "out"
    file.write_text("".join(f"line {n}\n" for n in range(MANY)))
    has = [*range(LEAST_LINES), LEAST_LINES + 3]
    lines = ({"line": n + 1, "id": None, "prompt": f"line {n}", "answer": "Yes."} for n in has)
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    prompts = Prompts(file)
    blocks = blocks_of(prompts, out, resume=True)
    assert [block["first"] for block in blocks] == [LEAST_LINES, 2 * LEAST_LINES]
    assert [block["skip"] for block in blocks] == [[LEAST_LINES + 3], []]
    assert sorted(read_in(prompts, blocks)) == [n for n in range(MANY) if n not in has]


@pytest.mark.parametrize("value", [r'"\ud800"', "NaN", "1e999", "[" * 2_000 + "]" * 2_000])
def test_a_line_whose_result_could_not_be_written_is_an_error_of_its_own(value: str) -> None:
    line = f'{{"custom_id": "a", "prompt": {value}}}'
    assert item_of(7, line, jsonl=True).problem == "line 7 is not a JSON object"
