from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vectorstore.chunking import SLACK, TARGET, chunk, first_heading

SENTENCE = "The cat sat on the mat and looked at the moon for a long while. "


def test_headings_travel_in_the_title_and_not_in_the_text() -> None:
    text = "# Iris\n\n## Leaves\n\nLong and thin.\n\n### Colour\n\nGreen.\n\n## Roots\n\nDeep."
    chunks = chunk(text, "Iris")
    assert [(c.title, c.text) for c in chunks] == [
        ("Iris > Leaves", "Long and thin."),
        ("Iris > Leaves > Colour", "Green."),
        ("Iris > Roots", "Deep."),
    ]


def test_a_heading_that_the_title_says_already_is_not_repeated() -> None:
    assert [c.title for c in chunk("# Iris\n\nA flower.", "Iris - Flowers of Europe")] == [
        "Iris - Flowers of Europe"
    ]


def test_underlined_headings_are_headings() -> None:
    text = (
        "Kitchen\n=======\n\nSpoons\n------\n\nA spoon is 5 ml.\n\nCups\n----\n\nA cup is 240 ml."
    )
    assert [c.title for c in chunk(text, "Kitchen")] == ["Kitchen > Spoons", "Kitchen > Cups"]


def test_a_hash_in_a_code_block_is_no_heading() -> None:
    text = "# Shell\n\n```sh\n# install\nmake run\n```\n"
    (only,) = chunk(text, "Shell")
    assert only.text == "```sh\n# install\nmake run\n```"


def test_a_short_section_stays_whole() -> None:
    text = SENTENCE * int(TARGET * SLACK / len(SENTENCE))
    assert len(chunk(text, "")) == 1


def test_a_long_section_is_cut_evenly_between_sentences() -> None:
    chunks = chunk(SENTENCE * 40, "")
    assert len(chunks) == round(len(SENTENCE) * 40 / TARGET)
    assert all(c.text.strip().endswith(".") for c in chunks)
    assert max(len(c.text) for c in chunks) < TARGET * SLACK
    assert min(len(c.text) for c in chunks) > TARGET / 4


def test_tables_and_code_are_not_cut() -> None:
    table = "| a | b |\n|---|---|\n" + "\n".join(f"| {n} | some words |" for n in range(100))
    code = "```python\n" + "\n\n".join(f"line_{n} = {n}" for n in range(90)) + "\n```"
    texts = [c.text for c in chunk(f"{SENTENCE * 5}\n\n{table}\n\n{SENTENCE * 5}\n\n{code}", "")]
    assert sum(table in text for text in texts) == 1
    assert sum(code in text for text in texts) == 1


def test_a_table_beyond_all_measure_is_cut_between_rows_under_its_head() -> None:
    head = "| city | people |\n|---|---|"
    rows = [f"| city number {n} | {n} thousand |" for n in range(500)]
    chunks = chunk("\n".join([head, *rows]), "Cities")
    assert len(chunks) > 5
    assert all(c.text.startswith(head) for c in chunks)
    assert [r for c in chunks for r in c.text.split("\n")[2:]] == rows


def test_an_example_stays_with_the_colon_that_announces_it() -> None:
    code = "```python\nx = 1\n```"
    text = f"{SENTENCE * 11}\n\nFor example:\n\n{code}\n\n{SENTENCE * 11}"
    with_code = next(c.text for c in chunk(text, "") if code in c.text)
    assert "For example:" in with_code


def test_nothing_but_headings_or_blanks_gives_no_chunk() -> None:
    assert chunk("", "T") == []
    assert chunk(" \n\n\t\n", "T") == []
    assert chunk("# Only\n\n## Headings\n", "T") == []


def test_the_first_heading_is_the_title_of_a_document() -> None:
    assert first_heading("# Bees\n\n## Honey\n\nSweet.") == "Bees"
    assert first_heading("Bees\n\nThey make honey. It is sweet.") == "Bees"
    assert first_heading("They make honey. It is sweet.\n\nAnd wax.") is None


def test_a_line_without_end_is_cut_in_pieces() -> None:
    for line in ("x" * 13_005, "word " * 2_600):
        chunks = chunk(line, "")
        assert max(len(c.text) for c in chunks) < TARGET * SLACK
        assert "".join(c.text for c in chunks).strip() == line.strip()


@given(st.text(alphabet="ab #=-|`\n.:", max_size=400), st.text(max_size=10))
def test_no_text_breaks_the_cutting_or_gives_an_empty_chunk(text: str, title: str) -> None:
    assert all(c.text.strip() for c in chunk(text, title))


@given(st.lists(st.sampled_from([SENTENCE, SENTENCE * 9, "Short. "]), min_size=1, max_size=30))
def test_paragraphs_come_out_in_order_and_complete(paragraphs: list[str]) -> None:
    chunks = chunk("\n\n".join(paragraphs), "")
    assert "".join("".join(c.text for c in chunks).split()) == "".join("".join(paragraphs).split())
