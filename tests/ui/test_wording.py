"""Figures and sentences."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ui import theme, wording


@pytest.mark.parametrize(
    ("ms", "said"),
    [
        (None, "–"),
        (0, "0 ms"),
        (85.4, "85 ms"),
        (999.7, "1.00 s"),
        (1240, "1.24 s"),
        (12_340, "12.3 s"),
        (125_000, "2 min 5 s"),
    ],
)
def test_durations_read_as_people_say_them(ms, said):
    assert wording.seconds(ms) == said


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (None, "price unknown"),
        (0, "free"),
        (0.0000001, "under $0.000001"),
        (0.000024, "$0.000024"),
        (0.0021, "$0.0021"),
        (0.05, "$0.0500"),
        (12.3, "$12.30"),
    ],
)
def test_an_unknown_price_is_not_free(cost, said):
    assert wording.usd(cost) == said


@pytest.mark.parametrize("outcome", ["ok", "failed", "timed_out", "late", "cancelled", "skipped"])
def test_every_outcome_has_a_sentence_of_its_own(outcome):
    row = {"outcome": outcome, "ttft_ms": 100, "latency_ms": 200, "error": "server"}
    others = {wording.how_ended({**row, "outcome": o}) for o in ("running", "")}
    assert wording.how_ended(row) not in others


@pytest.mark.parametrize("reason", ["timeout", "stalled", "no_provider", "server", "retried", ""])
def test_whoever_takes_over_blames_nobody_before_the_reason_is_known(reason):
    assert wording.took_over("cheap", reason).startswith("cheap answers now: ")


def test_what_a_late_call_cost_is_not_known_yet():
    assert wording.price({"outcome": "timed_out", "cost_usd": None}) == "not known yet"
    assert wording.price({"outcome": "skipped", "cost_usd": 0.0}) == ""
    assert wording.price({"outcome": "failed", "cost_usd": None}) == "price unknown"
    assert wording.price({"outcome": "ok", "cost_usd": 0.5}) == "$0.5000"


def test_white_words_can_be_read_on_every_button():
    """Also while the pointer is over it, which no browser's check sees."""
    fills = re.findall(r"--rt-button(?:-hover)?: #(\w{6});", theme.css())
    assert len(fills) == 4
    assert [fill for fill in fills if 1.05 / (luminance(fill) + 0.05) < 4.5] == []


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


UI = Path(wording.__file__).parent
FEW = 2
"""Words that a literal outside of `words.json` may have at most: labels, and names of things."""
PROTOCOL = ("guard", "inputs", "uploads", "login", "loading", "theme")
"""What answers to programs rather than on the page, and what stands before the page is there."""
NO_SENTENCE = re.compile(
    r"=>|element, props|RouterPage\.|</?\w+>|clamp\(|rt-|^[#.\[]|[\w\]\"') ]=[\w\"' ]|^M\d"
)
"""Code, styles and selectors."""
SAYS = re.compile(r'(?:say|say_all|part)\(\s*f?"([\w.{}]+)"')


def is_sentence(text: str) -> bool:
    words = re.findall(r"(?<![\w.$-])[A-Za-z][a-z']+(?![\w-]*[(=])", text)
    return len(words) > FEW and " " in text.strip() and not NO_SENTENCE.search(text)


def literals_of_python(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = list(ast.walk(tree))
    documents = {n.value for n in nodes if isinstance(n, ast.Expr)}
    whole = {p for n in nodes if isinstance(n, ast.JoinedStr) for p in ast.walk(n) if p is not n}
    for node in nodes:
        if isinstance(node, ast.JoinedStr) and node not in whole:
            yield "".join(
                str(getattr(part, "value", ""))
                for part in node.values
                if isinstance(part, ast.Constant)
            )
        elif isinstance(node, ast.Constant) and node not in documents | whole:
            yield str(node.value)


def literals_of_script(path: Path) -> Iterator[str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    code = "\n".join(line for line in lines if not line.strip().startswith("//"))
    for double, template in re.findall(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`', code):
        yield re.sub(r"\$\{[^}]*\}", "", double or template)


def test_every_sentence_of_the_page_is_in_one_file():
    python = [p for p in UI.rglob("*.py") if p.stem not in PROTOCOL]
    found = {(p.name, text) for p in python for text in literals_of_python(p)}
    found |= {(p.name, t) for p in UI.glob("assets/*.js") for t in literals_of_script(p)}
    assert len(found) > 1000
    assert [one for one in sorted(found) if is_sentence(one[1])] == []


def test_each_sentence_is_there_and_is_used():
    """Where a name is put together, every sentence that it could be counts as used."""
    files = [*UI.rglob("*.py"), *UI.glob("assets/*.js")]
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    code = "\n".join(texts.values())
    known = {f"{board}.{name}" for board, some in wording.words().items() for name in some}
    named = {key for key in re.findall(r'"([a-z_]+\.[a-z0-9_]+)"', code) if key in known}
    asked = {key for key in SAYS.findall(code) if "{" not in key and "." in key}
    assert asked - known == set()
    parts = set(re.findall(r'part\("(\w+)"\)', code))
    made = set(re.findall(r'say\((?:f")?`?([a-z]+)\.\$?\{', code))
    unused = {key for key in known - named if key.partition(".")[0] not in parts | made}
    assert unused == set()


def test_a_sentence_has_the_values_that_its_place_gives():
    """In Python: a name that is missing fails, a name too many is a value that nobody sees."""
    wrong = []
    for path in UI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say"):
                continue
            key = node.args[0]
            if not isinstance(key, ast.Constant):
                continue
            board, _, name = key.value.partition(".")
            wanted = set(re.findall(r"\{(\w+)\}", wording.words()[board][name]))
            if wanted != {one.arg for one in node.keywords}:
                wrong.append(key.value)
    assert wrong == []
