from __future__ import annotations

import os
from pathlib import Path

import pytest

from vectorstore.folders import MAX_BYTES, Found, Refused, content_hash, files, title_from_name


def found(folder: Path) -> list[str]:
    return [f.source for f in files(folder) if isinstance(f, Found)]


def refused(folder: Path) -> dict[str, str]:
    return {f.path.name: f.reason for f in files(folder) if isinstance(f, Refused)}


def test_files_of_all_levels_come_in_a_stable_order(tmp_path: Path) -> None:
    for name in ("b.md", "a/z.txt", "a/B.HTML", "c.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert found(tmp_path) == ["a/B.HTML", "a/z.txt", "b.md", "c.csv"]


def test_what_is_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"x")
    (tmp_path / "empty.md").touch()
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / ".hidden.md").write_text("x")
    (tmp_path / "nowhere.md").symlink_to(tmp_path / "missing.md")
    reasons = refused(tmp_path)
    assert set(reasons) == {"picture.png", "empty.md", "huge.txt", "pipe.md", "nowhere.md"}
    assert reasons["picture.png"].startswith("is of an unsupported kind")
    assert reasons["empty.md"] == "is empty"
    assert reasons["huge.txt"].startswith("is larger than 20 MB")
    assert reasons["pipe.md"] == "is not a regular file"
    assert reasons["nowhere.md"] == "cannot be read: No such file or directory"


def test_links_are_followed_within_the_folder_only(tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("secret")
    folder = tmp_path / "documents"
    (folder / "sub").mkdir(parents=True)
    (folder / "own.md").write_text("own")
    (folder / "alias.md").symlink_to("own.md")
    (folder / "leak.md").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    (folder / "sub" / "loop").symlink_to(folder, target_is_directory=True)
    assert found(folder) == ["alias.md", "own.md"]
    assert refused(folder) == {
        "leak.md": "is a link that leaves the folder",
        "up": "is a link to a folder",
        "loop": "is a link to a folder",
    }


def test_a_linked_folder_itself_may_be_ingested(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.md").write_text("a")
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    assert found(tmp_path / "link") == ["a.md"]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("history/Eiffel_Tower.txt", "Eiffel Tower"),
        ("houseplants.md", "houseplants"),
        ("superBowl50.txt", "super Bowl50"),
        ("p0012.txt", ""),
        ("passage-12.txt", ""),
        ("doc_3_part_4.txt", ""),
    ],
)
def test_only_a_name_that_says_something_is_a_title(name: str, title: str) -> None:
    assert title_from_name(name) == title


def test_the_hash_follows_the_content() -> None:
    assert content_hash(b"a") == content_hash(b"a") != content_hash(b"b")
