"""What is seen of a prompt without a model."""

from __future__ import annotations

import pytest

from benchmarks.classification import cases
from config.models import Category
from routing.classifier.features import (
    HEAD,
    LENGTHY,
    OF_LENGTHY,
    TAIL,
    before,
    divide,
    excerpt,
    independence,
    view,
    words,
)
from routing.classifier.reader import Keywords
from routing.classifier.structure import SHAPES, SIGNALS, Form, shapes, signals

NAMES = tuple(SIGNALS)


def test_an_excerpt_keeps_both_ends_of_a_long_prompt() -> None:
    text = excerpt("begin " + "x" * 1_000_000 + " end")
    assert text.startswith("begin")
    assert text.endswith("end")
    assert len(text) <= HEAD + TAIL + 1


def test_control_and_invisible_characters_are_dropped() -> None:
    assert excerpt("a\x00\u202eb") == "a b"


def test_a_pasted_text_after_a_colon_is_given_and_not_asked() -> None:
    parts = divide(f"Summarise this for me please: {'The bridge is closed again. ' * 5}")
    assert parts.instruction == "Summarise this for me please:"
    assert parts.given.startswith("The bridge")


def test_a_question_after_a_pasted_text_belongs_to_the_instruction() -> None:
    parts = divide(f"{'The bridge was closed on Monday. ' * 9}\nWhen was the bridge closed?")
    assert parts.instruction.endswith("When was the bridge closed?")


def test_a_long_quotation_is_given_and_a_short_one_is_not() -> None:
    long = "the quick brown fox jumps over the lazy dog"
    parts = divide(f'Translate "good night" and "{long}"')
    assert "good night" in parts.instruction
    assert long in parts.given


def test_a_fenced_block_is_given() -> None:
    parts = divide("What does this do?\n```python\nprint(1)\n```")
    assert parts.instruction == "What does this do?"
    assert "print(1)" in parts.given


@pytest.mark.parametrize("unit", ["word ", "词", "{}();", "x", "Ж", "1 "])
def test_what_is_embedded_stays_short_however_long_the_prompt(unit: str) -> None:
    assert len(view(divide(unit * 50_000))) <= OF_LENGTHY + 3


@pytest.mark.parametrize("size", [LENGTHY, 100_000])
def test_of_a_long_prompt_both_ends_of_the_instruction_are_embedded_and_no_material(
    size: int,
) -> None:
    text = ("The bridge was closed on Monday. " * (size // 33 + 1))[:size]
    asked = "Write a poem about my cat.", "When was it closed?"
    assert view(divide("\n\n".join([asked[0], text, asked[1]]))) == " ".join(asked)


def test_of_a_short_prompt_the_beginning_of_the_material_is_embedded() -> None:
    assert "The bridge" in view(divide("Fix the spelling\n\n" + "The bridge was closed. " * 20))


def test_a_long_prompt_without_any_instruction_is_embedded_by_its_beginning() -> None:
    assert view(divide("Text: " + "The bridge was closed. " * 100)).startswith("Text: The bridge")


def test_letters_are_counted_by_their_kind_even_if_they_are_half_a_pair() -> None:
    """Counted one by one, an ideograph is wide, Cyrillic foreign and a half of a pair too."""
    parts = divide("ab é 词语 Ж \ud800 and more")
    row = dict(zip(SHAPES, shapes(parts, words(parts.instruction)), strict=True))
    size = len(parts.text)
    assert row["other letters"] == pytest.approx(20 * 1 / size)
    assert row["ideographs"] == pytest.approx(2 * 2 / size)
    assert row["Cyrillic"] == pytest.approx(2 * 2 / size)


def test_words_are_lower_case_with_ideographs_apart() -> None:
    assert words("Sort C++ in 2024, 写诗") == ["sort", "c++", "in", "0", ",", "写", "诗"]


@pytest.mark.parametrize(
    ("name", "prompt"),
    [
        ("code", "def f(x):\n    return x + 1\nfor i in range(3):\n    print(i)"),
        ("trace", "Traceback (most recent call last):\nValueError: bad"),
        ("shell", "$ sudo systemctl restart nginx --now"),
        ("sql", "SELECT name FROM users GROUP BY name"),
        ("data", '{"id": 1, "name": "Ann"}'),
        ("math", "solve x^2 - 3x + 2 = 0"),
    ],
)
def test_structure_is_recognised(name: str, prompt: str) -> None:
    assert signals(prompt, NAMES)[NAMES.index(name)] > 0


@pytest.mark.parametrize("name", NAMES)
def test_plain_prose_has_no_structure(name: str) -> None:
    prose = "Explain what every town where my family was born is known for, and how people live."
    assert signals(prose, [name])[0] == 0


FORMS = list(dict.fromkeys(form for forms in SIGNALS.values() for form in forms))
MATCHES = """
    parseJson|my_name|f(x, y)|a => b|a == b|a != b|a && b|a || b|std::sort|p->next
    Traceback (most recent|ValueError|keyError|NullPointerException|error: no|Warning: no
    at com.Main.run(|Segmentation Fault|core dumped|stack trace|stacktrace|undefined reference
    exit code 1|ENOENT|errno 2|panicked at|cannot find module|null pointer|nullPointer
    $ ls|git push|pip3 install|kubectl get|apt-get update|run it --now|cat x | grep y
    SELECT a FROM t|Insert  Into t|create table t|ALTER TABLE t|left join u|Group By n
    \\frac{1}{2}|costs $x$|√2|±1|a^2|x ^ n|3 × 4|1 + 2|2x = 4|f(x)|)^-1|∑ n
"""


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.pattern.pattern[:20])
def test_no_match_is_missed_for_what_it_should_contain(form: Form) -> None:
    lines = [case.prompt for case in cases("test")[::3]] + MATCHES.split("\n")
    for text in [*lines, *(one for line in MATCHES.split("\n") for one in line.split("|"))]:
        assert form.count(text) == min(len([*form.pattern.finditer(text)]), 3), text


def _groups(*entries: str) -> Keywords:
    category = Category(description="d", examples=("e",), keywords=entries)
    return Keywords({"kind": category})


def test_a_keyword_is_a_whole_word() -> None:
    keywords = _groups("rap")
    assert keywords.find(words("a rap")) == [{"rap"}]
    assert keywords.find(words("a trap, wrapped")) == [set()]


def test_a_star_stands_for_any_ending() -> None:
    assert _groups("poem*").find(words("two poems")) == [{"poems"}]


def test_a_phrase_and_an_ideograph_are_found() -> None:
    keywords = _groups("cover letter", "翻译")
    assert keywords.find(words("My cover letter")) == [{"cover letter"}]
    assert keywords.find(words("请翻译成英文")) == [{"翻 译"}]


def _said(*texts: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text} for text in texts]


@pytest.mark.parametrize("prompt", ["and shorter please", "why?", "another one", "再短一点"])
def test_words_without_content_say_nothing_for_themselves(prompt: str) -> None:
    assert independence(prompt, 0.99) == 0


def test_a_word_of_its_own_counts_half() -> None:
    assert independence("now in Rust", 0.99) == 0.5


def test_a_short_prompt_that_is_sure_of_itself_stands_alone() -> None:
    assert independence("now write a limerick about it", 0.99) == 1
    assert independence("now write a limerick about it", 0.5) == 0.5


def test_a_long_prompt_stands_alone_however_unsure() -> None:
    assert independence("it is " * 20, 0.4) == 1


def test_the_turn_that_counts_is_the_last_with_content() -> None:
    history = _said("Write a poem about rain", "shorter please", "and again")
    assert before(history) == "Write a poem about rain"


def test_only_the_user_is_listened_to() -> None:
    assert before([{"role": "assistant", "content": "Here is a long poem"}]) is None
    assert before([]) is None
