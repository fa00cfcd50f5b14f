"""Whatever a host sends as log probabilities: what is none is nothing, what is one is JSON."""

from typing import Any

import orjson
import pytest

from providers.chunk import IMPOSSIBLE, MAX_TOP, logprobs_of

GOOD = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}


@pytest.mark.parametrize(
    "held",
    [None, [], "x", {}, {"content": None}, {"content": "x"}, {"content": [1, None, {}, [], "x"]},
     {"content": [{"token": 1, "logprob": 0}, {"token": "a", "logprob": "-1"},
                  {"token": "a", "logprob": True}]}],
)  # fmt: skip
def test_what_is_none_is_nothing(held: Any) -> None:
    assert logprobs_of({"logprobs": held}) == ()


def test_a_good_entry_is_kept_as_it_is() -> None:
    assert logprobs_of({"logprobs": {"content": [GOOD]}}) == (GOOD,)


def test_each_is_valid_json_and_bounded() -> None:
    odd = {"token": "\ud83d", "logprob": float("-inf"), "bytes": [999], "top_logprobs": [GOOD] * 99}
    (found,) = logprobs_of({"logprobs": {"content": [odd]}})
    assert (found["logprob"], found["bytes"]) == (IMPOSSIBLE, None)
    assert len(found["top_logprobs"]) == MAX_TOP
    assert b"null" in orjson.dumps(found)
