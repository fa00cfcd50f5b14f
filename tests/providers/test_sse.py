from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.sse import MAX_EVENT_BYTES, EventReader, EventTooLargeError


def read(*chunks: bytes) -> list[tuple[bytes, bytes]]:
    reader = EventReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return events + list(reader.close())


def test_each_blank_line_ends_an_event() -> None:
    assert read(b"data: one\n\ndata: two\n\n") == [(b"", b"one"), (b"", b"two")]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_is_understood(newline: bytes) -> None:
    stream = b"event: error\ndata: one\n\n: comment\ndata:two\n\n".replace(b"\n", newline)
    assert read(stream) == [(b"error", b"one"), (b"", b"two")]


def test_several_data_lines_are_one_event() -> None:
    assert read(b"data: {\ndata: }\n\n") == [(b"", b"{\n}")]


def test_comments_ids_and_retry_hints_are_skipped() -> None:
    assert read(b": ping\n\nid: 7\nretry: 100\n\ndata: one\n\n") == [(b"", b"one")]


def test_an_event_without_its_blank_line_is_seen_at_the_end() -> None:
    assert read(b"data: [DONE]") == [(b"", b"[DONE]")]


def test_an_event_without_end_is_refused() -> None:
    chunks = [b"x" * 2**20] * (MAX_EVENT_BYTES // 2**20 + 1)
    with pytest.raises(EventTooLargeError):
        read(*chunks)


@given(
    st.lists(st.text("ab{}:é", min_size=1), max_size=5),
    st.sampled_from([b"\n", b"\r\n"]),
    st.lists(st.integers(1, 7), min_size=1, max_size=20),
)
def test_where_the_chunks_are_cut_makes_no_difference(
    data: list[str], newline: bytes, sizes: list[int]
) -> None:
    end = newline + newline
    stream = b"".join(b"data: " + line.encode() + end for line in data)
    chunks: list[bytes] = []
    at = 0
    while at < len(stream):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(stream[at : at + size])
        at += size
    assert read(*chunks) == [(b"", line.encode()) for line in data]
