from __future__ import annotations

import json

import pytest

from config import redaction
from config.redaction import json_text, keep_secret, log_line, printable, redact

KEYS = [
    "sk-proj-abcDEF123456",
    "sk-abcd********wxyz",
    "gsk_0123456789abcdef",
    "hf_abcdefghijklm",
    "nvapi-abcdefghijkl",
    "AIzaSyA1234567890abcdefghijklmnop",
    "eyJhbGciOi.eyJzdWIiOi.SflKxwRJ",
    "AKIAABCDEFGHIJKLMNOP",
]


@pytest.fixture
def forgetting():
    before = set(redaction._secrets)
    yield
    redaction._secrets.clear()
    redaction._secrets.update(before)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("frame", ["{}", "key={}.", '{{"a": ["{}"]}}', "refused: Bearer {}\n"])
def test_what_looks_like_a_key_is_struck_out(key: str, frame: str) -> None:
    assert key not in redact(frame.format(key))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("before", ["\n", "\t", "\r\n", "\x1b", "\x1b[31m", "\x1b[1;32m", "\u2028"])
def test_a_key_after_an_escape_is_struck_out(key: str, before: str) -> None:
    """Of a line in a traceback, say: where `\\n` is written out, the key follows a letter."""
    text = f"refused:{before}{key}"
    lines = [text, json.dumps(text), json.dumps({"e": json.dumps(text)}), repr(text), ascii(text)]
    assert [line for line in lines if key in log_line(line)] == []


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def-123"),
        ("authorization: BEARER abc.def-123", "abc.def-123"),
        ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("{'api_key': 'q1w2e3r4t5'}", "q1w2e3r4t5"),
        (r"{\"x-api-key\": \"q1w2e3r4t5\"}", "q1w2e3r4t5"),
        ("password=hunter2222", "hunter2222"),
        ("postgresql+psycopg://router:pa55word@db/router", "pa55word"),
    ],
)
def test_a_named_secret_is_struck_out(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_ordinary_words_are_not_redacted() -> None:
    text = (
        "the api_key_parameter is missing, ask-someone about hf models; a bearer token is needed;"
        " set GROQ_API_KEY: see https://example.com:8080/v1 @once"
    )
    assert redact(text) == text


def test_a_line_of_json_stays_one_after_redaction() -> None:
    line = json.dumps({"header": "Bearer abcdef123456", "said": 'key="sk-abcdef0123456789"'})
    assert json.loads(log_line(line)) == {"header": "Bearer ***", "said": 'key="***"'}


def test_a_secret_that_was_kept_is_struck_out_in_its_escaped_forms(forgetting: None) -> None:
    keep_secret('a"strange\\7secret')
    assert "strange" not in redact(json.dumps(['a"strange\\7secret']))
    assert "strange" not in redact(repr('a"strange\\7secret'))


def test_a_plain_word_is_not_taken_for_a_secret_wherever_it_stands(forgetting: None) -> None:
    keep_secret("secret")
    keep_secret("passages")
    assert redact("the secret is in the passages") == "the secret is in the passages"


def test_no_control_character_reaches_a_terminal() -> None:
    hostile = "a\x1b]52;c;aGk=\x07b\x9b31mc\x00\r\x08d\te\nf"
    assert printable(hostile) == "a]52;c;aGk=b31mcd\te\nf"


def test_a_log_line_shows_what_was_no_text() -> None:
    assert log_line("a\x1b[31m b\u202e c\x85") == "a\\u001b[31m b\\u202e c\\u0085"


def test_json_text_keeps_its_meaning() -> None:
    value = {"text": "a\x9b31m\x7f\x1b\nü"}
    shown = json_text(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert shown.isprintable()
