"""How far a prompt leans on the turns before it."""

from __future__ import annotations

import pytest

from routing.classifier.conversation import before, independence


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
