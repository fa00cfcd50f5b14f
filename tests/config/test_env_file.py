"""A key is written into `.env` whole, for its owner alone, and nothing else in it changes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.env_file import check_key, with_values, write_key
from config.environment import variables
from config.errors import ConfigError, UsageError

KEY = "gsk-0123456789abcdef"
URL = "https://api.groq.com/openai/v1"
ADDED = f"GROQ_API_KEY={KEY}\nGROQ_API_KEY_HOST=https://api.groq.com\n"


def write(folder: Path, key: str = KEY) -> str:
    write_key(folder / ".env", folder / "data", "GROQ_API_KEY", key, URL)
    return (folder / ".env").read_bytes().decode()


def test_a_file_is_made_for_its_owner_alone(tmp_path: Path):
    assert write(tmp_path) == ADDED
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == [".env", "data"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# mine\nOTHER='a b'\n", "# mine\nOTHER='a b'\n" + ADDED),
        ("OTHER=1", "OTHER=1\n" + ADDED),
        (
            "# a comment\nGROQ_API_KEY=old # its own\n\n# another\nOTHER=1\n",
            f"# a comment\nGROQ_API_KEY={KEY} # its own\n\n# another\nOTHER=1\n"
            "GROQ_API_KEY_HOST=https://api.groq.com\n",
        ),
        (
            "export GROQ_API_KEY='x'\nGROQ_API_KEY=y\nA=1\nGROQ_API_KEY_HOST=z\n",
            f"GROQ_API_KEY={KEY}\nA=1\nGROQ_API_KEY_HOST=https://api.groq.com\n",
        ),
        ("GROQ_API_KEY='a # b'\n", ADDED),
        ("# GROQ_API_KEY=\nGROQ_API_KEY=\n", "# GROQ_API_KEY=\n" + ADDED),
        ("A=1\r\n", "A=1\r\n" + ADDED.replace("\n", "\r\n")),
        ("\ufeffA=1\n", "\ufeffA=1\n" + ADDED),
        ('LONG="two\nlines"\n', 'LONG="two\nlines"\n' + ADDED),
    ],
)
def test_comments_and_other_lines_stay_and_each_variable_has_one(
    tmp_path: Path, before: str, after: str
):
    (tmp_path / ".env").write_bytes(before.encode())
    (tmp_path / ".env").chmod(0o644)
    assert write(tmp_path) == after
    assert write(tmp_path) == after
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert variables({}, tmp_path / ".env").get("GROQ_API_KEY") == KEY


@given(key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60))
def test_whatever_key_is_taken_is_read_again_as_it_is(tmp_path_factory, key: str):
    try:
        check_key(key)
    except UsageError:
        return
    folder = tmp_path_factory.mktemp("any")
    write(folder, key)
    found = variables({}, folder / ".env")
    assert found.get("GROQ_API_KEY") == key
    assert set(found.values) == {"GROQ_API_KEY", "GROQ_API_KEY_HOST"}


@pytest.mark.parametrize(
    "key", ["", "short", "sk-two words", "sk-a\nROUTER_UI_AUTH=a:b", "sk-ключ12", "x" * 5000]
)
def test_what_is_no_key_is_refused_without_repeating_it(tmp_path: Path, key: str):
    with pytest.raises(UsageError) as refused:
        write(tmp_path, key)
    assert not key or key not in str(refused.value)
    assert not (tmp_path / ".env").exists()


def test_no_variable_but_a_keys_is_written(tmp_path: Path):
    with pytest.raises(UsageError):
        write_key(tmp_path / ".env", tmp_path / "data", "ROUTER_UI_AUTH", KEY, URL)
    assert not (tmp_path / ".env").exists()


def test_a_link_and_a_file_that_is_no_text_are_left_alone(tmp_path: Path):
    (tmp_path / "real").write_bytes(b"A=1\n")
    (tmp_path / ".env").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="symbolic link"):
        write(tmp_path)
    assert (tmp_path / "real").read_bytes() == b"A=1\n"
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigError, match="not UTF-8") as refused:
        write(tmp_path)
    assert KEY not in str(refused.value)
    assert (tmp_path / ".env").read_bytes() == b"A=\xff\n"


def test_a_folder_that_cannot_be_written_leaves_the_file_as_it_was(tmp_path: Path):
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / ".env").mkdir()  # a folder of that name: nobody, root neither, can write it as a file
    with pytest.raises(ConfigError, match="cannot be written"):
        write_key(folder / ".env", tmp_path / "data", "GROQ_API_KEY", KEY, URL)
    assert os.listdir(folder) == [".env"]


def test_a_text_without_the_variable_gets_it_at_its_end():
    assert with_values("", {"A_KEY": "x y"}) == "A_KEY='x y'\n"
