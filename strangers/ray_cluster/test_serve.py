"""`deploy/ray_serve.py`: two replicas behind Ray Serve's proxy, on one PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import httpx
import pytest
import ray
from ray import serve

from config.errors import UsageError
from deploy.ray_serve import Arguments, RouterService, application
from strangers.ray_cluster.clusters import RayCluster, add_node, until
from strangers.service import free_port
from tests.upstream import Behaviour

KEY = "sk-ray-serve-0123456789"
PROMPT = {"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
AT_ONCE = 4


@pytest.fixture(scope="module")
def url(cluster: RayCluster) -> Iterator[str]:
    """The application's address; each replica takes four requests at once."""
    if not cluster.nodes.worker_nodes:
        add_node(cluster.nodes)
    variables = cluster.environment | {"ROUTER_API_KEYS": KEY}
    ray.init(
        address=cluster.nodes.address,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"env_vars": {k: v for k, v in variables.items() if k.startswith("ROUTER_")}},
    )
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    arguments = Arguments(config=str(cluster.config), data=str(cluster.data))
    service = RouterService.options(num_replicas=2, max_ongoing_requests=AT_ONCE)
    serve.run(service.bind(arguments), name="router", logging_config={"log_level": "ERROR"})
    yield f"http://127.0.0.1:{port}"
    serve.shutdown()
    ray.shutdown()


@pytest.fixture
def client(url: str) -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=60)


async def test_chunks_arrive_one_by_one(cluster: RayCluster, client: httpx.AsyncClient) -> None:
    words = ["one ", "two ", "three ", "four"]
    gates = {number: asyncio.Event() for number in range(1, len(words))}
    held = Behaviour(text="".join(words), gates=gates)
    cluster.upstream.respond("scripted", lambda _: held)
    said = []
    async with (
        client,
        client.stream("POST", "/v1/chat/completions", json={**PROMPT, "stream": True}) as reply,
    ):
        assert reply.status_code == 200, await reply.aread()
        async for line in reply.aiter_lines():
            if not line.startswith("data: {"):
                continue
            for choice in json.loads(line[6:])["choices"]:
                if text := choice["delta"].get("content"):
                    said.append(text)
                    # The next word is sent only now that this one has arrived.
                    if gate := gates.get(len(said)):
                        cluster.upstream.loop.call_soon_threadsafe(gate.set)
    assert said == words


async def test_a_client_that_leaves_ends_the_call_upstream(
    cluster: RayCluster, client: httpx.AsyncClient
) -> None:
    cluster.upstream.log.clear()
    endless = Behaviour(text="on and ", endless=True, token_s=0.02)
    cluster.upstream.respond("scripted", lambda _: endless)
    async with (
        client,
        client.stream("POST", "/v1/chat/completions", json={**PROMPT, "stream": True}) as reply,
    ):
        async for line in reply.aiter_lines():
            if '"content":' in line:
                break
    await asyncio.to_thread(until, lambda: cluster.upstream.aborted, 1)


async def test_both_replicas_answer_over_one_log(
    cluster: RayCluster, client: httpx.AsyncClient
) -> None:
    cluster.upstream.log.clear()
    gate = asyncio.Event()
    cluster.upstream.respond("scripted", lambda _: Behaviour(text="Yes.", gates={-1: gate}))
    async with client:
        asking = [
            asyncio.create_task(client.post("/v1/chat/completions", json=PROMPT))
            for _ in range(2 * AT_ONCE)
        ]
        await asyncio.to_thread(
            until,
            lambda: len(cluster.upstream.calls("scripted")),
            2 * AT_ONCE,  # twice as many as one replica takes
        )
        cluster.upstream.loop.call_soon_threadsafe(gate.set)
        replies = await asyncio.gather(*asking)
        assert {reply.status_code for reply in replies} == {200}
        asked = {reply.json()["router"]["request_id"] for reply in replies}
    await asyncio.to_thread(until, lambda: asked - logged(cluster), set())


def logged(cluster: RayCluster) -> set[str]:
    return {name for (name,) in cluster.rows("SELECT request_id FROM interactions")}


async def test_it_is_locked(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as stranger:
        assert (await stranger.post("/v1/chat/completions", json=PROMPT)).status_code == 401
        assert (await stranger.get("/ready")).status_code == 200


@pytest.mark.usefixtures("url")
def test_an_open_service_has_to_be_asked_for(
    cluster: RayCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROUTER_API_KEYS", raising=False)
    monkeypatch.setenv("ROUTER_DATABASE_URL", cluster.database_url)
    arguments = Arguments(config=str(cluster.config), data=str(cluster.data))
    with pytest.raises(UsageError, match="ROUTER_API_KEYS"):
        application(arguments)
    application(arguments.model_copy(update={"insecure": True}))
