"""The page for programs, through gradio's own client."""

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from tests.ui.conftest import Site


@pytest.fixture(scope="module")
def client(site: Site):
    client = Client(site.url, verbose=False, analytics_enabled=False)
    yield client
    client.close()


def test_a_prompt_is_answered(client: Client):
    answer = client.predict("Why is the sky blue?", provider="swift", api_name="/ask")
    assert "swift pretends to answer" in answer["text"]
    assert answer["provider"] == "swift"
    assert answer["attempts"][0]["role"] == "primary"


def test_an_expected_error_is_its_sentence(client: Client):
    with pytest.raises(AppError, match="unknown provider 'nobody'"):
        client.predict("Why?", provider="nobody", api_name="/ask")


def test_the_dry_run_names_category_and_order(client: Client):
    route = client.predict("Write a haiku about rain.", api_name="/route")
    assert route["category"] == "creative"
    assert {"swift", "steady"} <= set(route["order"])


def test_feedback_reaches_the_log(client: Client):
    answer = client.predict("Is it late?", provider="swift", api_name="/ask")
    client.predict(answer["request_id"], True, api_name="/feedback")
    rows = client.predict(limit=1, api_name="/interactions")
    assert rows[0]["request_id"] == answer["request_id"]
    assert rows[0]["liked"] is True


def test_priorities_providers_documents_and_passages_are_served(client: Client):
    assert set(client.predict(api_name="/priorities")) == {"technical", "creative", "general"}
    assert client.predict(api_name="/providers")["swift"]["breaker"]["state"] == "closed"
    assert isinstance(client.predict(api_name="/documents"), list)
    assert isinstance(client.predict("a question", api_name="/retrieve"), list)


def test_only_the_named_endpoints_are_public_and_they_are_typed(client: Client):
    found = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(found) == {
        "/ask",
        "/route",
        "/priorities",
        "/interactions",
        "/providers",
        "/retrieve",
        "/documents",
        "/feedback",
        "/search",
        "/undo",
    }
    names = [p["parameter_name"] for p in found["/ask"]["parameters"]]
    assert names == ["prompt", "category", "provider"]
    assert found["/ask"]["parameters"][0]["type"] == {"type": "string"}
