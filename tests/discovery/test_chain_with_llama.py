"""With real weights: found on a loopback hub, fetched, served, tried, appended, removed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from config.loader import load
from discovery.search import Addresses, Search
from providers.base import CallOptions, Message
from providers.llama_server import BUNDLED_MODEL, weights
from providers.registry import Providers
from routing.ranking.standings import Standing
from tests.conftest import SettingsFor
from tests.discovery.services import Hub, HubModel, OpenRouter

REPOSITORY = "newcomers/Aurora-Llama-135M-Instruct-GGUF"
FILE = "Aurora-Llama-135M-Instruct-Q4_1.gguf"
PROBES = {
    "category": "general",
    "probes": [
        {
            "id": f"capital-{country.lower()}",
            "prompt": f"What is the capital of {country}? Answer with the name alone.",
            "max_tokens": 12,
            "checks": [{"contains": [capital]}],
        }
        for country, capital in [("France", "Paris"), ("Italy", "Rome")]
    ],
}


@pytest.mark.model
async def test_a_gguf_of_the_hub_becomes_a_provider_and_leaves_again(
    settings_for: SettingsFor,
) -> None:
    file = weights(BUNDLED_MODEL)
    assert isinstance(file, Path), file
    content = file.read_bytes()
    settings = settings_for(
        hosts={"embedded": {"kind": "llama_cpp"}},
        providers=[{"name": "tiny", "host": "embedded", "model": BUNDLED_MODEL, "max_tokens": 64}],
        priorities={name: ["tiny"] for name in ("technical", "creative", "general")},
        fallback={"provider": "tiny"},
        limits={"ttft_s": 30.0},
    )
    folder, data = settings.config_dir, settings.data_dir
    (folder / "probes").mkdir()
    (folder / "probes" / "general.yaml").write_text(yaml.safe_dump(PROBES))
    (folder / "catalogue.yaml").write_text("date: 2026-11-22\nsources: {}\nentries: []\n")
    before = (folder / "providers.yaml").read_bytes()
    model = HubModel(
        REPOSITORY,
        tags=("gguf", "llama", "conversational"),
        downloads=7_000,
        card={"license": "apache-2.0"},
        gguf={"total": 134_515_008, "architecture": "llama", "context_length": 8192},
        files={FILE: content},
    )
    providers = Providers(settings)
    with Hub(model) as hub, OpenRouter() as market:
        addresses = Addresses(hub=hub.url, openrouter=f"{market.url}/api/v1")
        search = Search(settings, providers, addresses=addresses)
        result = await search.search("general")
        best = result.best()
        assert best is not None
        assert best.evidence.name == REPOSITORY
        events = [event async for event in search.try_and_append("general")]
    kinds = list(dict.fromkeys(event["type"] for event in events))
    assert kinds == [
        "chosen",
        "downloading",
        "downloaded",
        "smoke",
        "probe",
        "decided",
        "appended",
    ]
    assert events[-2]["outcome"] == "undecided"  # they are the same weights
    assert events[-1]["share"] == 0.02

    after = load(folder, data, environ={}, dotenv=None)
    added = after.provider("aurora-llama-135m")
    assert added.evidence is not None
    assert added.evidence["weights"]["sha256"] == hashlib.sha256(content).hexdigest()
    served = Providers(after)
    question = [Message(role="user", content="What is the capital of France?")]
    stream = served.get(added.name).stream(question, CallOptions(max_tokens=16, temperature=0.0))
    assert "".join([delta.text async for delta in stream]).strip()
    await served.close()

    worse = Standing(added.name, 1, 1, 0.1, 0.0, 0.2, 0.0, 50, *[None] * 5, 0, 0, trial=0.02)
    trusted = Standing("tiny", 0, 0, 0.8, 0.7, 0.9, 1.0, 50, *[None] * 5, 0, 0)
    assert (await Search(after, served).judge(worse, [trusted])).action == "roll back"
    assert (folder / "providers.yaml").read_bytes() == before
    await providers.close()
