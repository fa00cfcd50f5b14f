"""instructor, in the modes that its users choose between."""

from __future__ import annotations

import instructor
import openai
import pytest
from instructor import Mode
from instructor.core import InstructorRetryException
from pydantic import BaseModel

CLIENT = "instructor"
PACKAGE = "instructor"
NEEDS = "`from_openai(OpenAI(base_url=…/v1))`"


class Place(BaseModel):
    city: str
    people: int


ASKED = [{"role": "user", "content": "Where is Lisbon, with its 545000 people?"}]


def client(url: str, key: str, mode: Mode) -> instructor.Instructor:
    return instructor.from_openai(openai.OpenAI(base_url=url, api_key=key, max_retries=0), mode)


@pytest.mark.parametrize("model", ["auto", "broken"])
def test_tools(model: str, url: str, key: str) -> None:
    found = client(url, key, Mode.TOOLS).create(
        model=model, response_model=Place, messages=ASKED, max_retries=0
    )
    assert (found.city, found.people) == ("Lisbon", 545000)


@pytest.mark.parametrize("mode", [Mode.JSON_SCHEMA, Mode.RESPONSES_TOOLS])
def test_schemas_and_responses(mode: Mode, url: str, key: str) -> None:
    found = client(url, key, mode).create(
        model="auto", response_model=Place, messages=ASKED, max_retries=0
    )
    assert found.people == 545000


@pytest.mark.parametrize("model", ["auto", "broken"])
def test_partial_objects_streamed(model: str, url: str, key: str) -> None:
    parts = client(url, key, Mode.TOOLS).create_partial(
        model=model, response_model=Place, messages=ASKED, max_retries=0
    )
    assert list(parts)[-1].people == 545000


@pytest.mark.parametrize("mode", [Mode.JSON_SCHEMA, Mode.RESPONSES_TOOLS])
def test_another_provider_for_one_that_fails(mode: Mode, url: str, key: str) -> None:
    found = client(url, key, mode).create(
        model="broken", response_model=Place, messages=ASKED, max_retries=0
    )
    assert found.people == 545000


@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.JSON_SCHEMA])
def test_an_error_for_a_stream_that_is_cut(mode: Mode, url: str, key: str) -> None:
    asked = client(url, key, mode)
    with pytest.raises(InstructorRetryException, match="in the middle of"):
        list(asked.create_partial(model="cut", response_model=Place, messages=ASKED, max_retries=0))
