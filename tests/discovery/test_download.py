"""Weights from a loopback hub: progress, resumption, checksums, room, and where they may lie."""

from __future__ import annotations

import hashlib
from collections import namedtuple
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from filelock import FileLock
from pydantic import SecretStr

from discovery.download import Progress, fetch, place_of
from discovery.sources.hub_client import HubPlace
from discovery.sources.source import Gguf, SourceError
from tests.discovery.services import Hub, HubModel, Reply

CONTENT = b"GGUF" + bytes(range(256)) * 16_000  # 4 MB
KEY = SecretStr("hf_secret")
NAME = "org/Tiny-Llama-GGUF"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub(HubModel(NAME, files={"tiny-q4_k_m.gguf": CONTENT})) as hub:
        yield hub


def gguf(content: bytes = CONTENT, **changed: object) -> Gguf:
    fields = {
        "repository": NAME,
        "revision": HubModel(NAME).sha,
        "file": "tiny-q4_k_m.gguf",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return Gguf.model_validate(fields | changed)


async def fetched(hub: Hub, data: Path, wanted: Gguf | None = None) -> tuple[list[Progress], Path]:
    steps = [
        step async for step in fetch(wanted or gguf(), data, HubPlace(hub.url, KEY), pause_s=0)
    ]
    *progress, file = steps
    assert isinstance(file, Path)
    return [p for p in progress if isinstance(p, Progress)], file


def ranges(hub: Hub) -> list[str | None]:
    return [a.headers.get("range") for a in hub.asked if a.path.startswith("/cdn/")]


async def test_a_file_comes_whole_with_progress(hub: Hub, tmp_path: Path) -> None:
    progress, file = await fetched(hub, tmp_path)
    assert file.read_bytes() == CONTENT
    assert file == place_of(gguf(), tmp_path)
    assert progress[-1] == Progress(len(CONTENT), len(CONTENT))
    assert len(progress) > 1


async def test_what_is_there_is_checked_and_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    await fetched(hub, tmp_path)
    hub.asked.clear()
    await fetched(hub, tmp_path)
    assert hub.asked == []
    place_of(gguf(), tmp_path).write_bytes(CONTENT[:-1] + b"x")
    _, file = await fetched(hub, tmp_path)
    assert file.read_bytes() == CONTENT


async def test_a_connection_that_breaks_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [2_000_000, 1_000_000]
    _, file = await fetched(hub, tmp_path)
    assert file.read_bytes() == CONTENT
    first, second, third = ranges(hub)
    assert first is None
    assert second is not None
    assert third is not None
    assert int(third[6:-1]) > int(second[6:-1]) > 0


async def test_a_new_process_goes_on_where_an_old_one_stopped(hub: Hub, tmp_path: Path) -> None:
    target = place_of(gguf(), tmp_path)
    target.parent.mkdir(parents=True)
    target.with_name(f"{target.name}.part").write_bytes(CONTENT[:1_234_567])
    _, file = await fetched(hub, tmp_path)
    assert file.read_bytes() == CONTENT
    assert ranges(hub) == ["bytes=1234567-"]


async def test_a_server_without_ranges_sends_it_all_again(hub: Hub, tmp_path: Path) -> None:
    hub.cuts, hub.knows_ranges = [2_000_000], False
    _, file = await fetched(hub, tmp_path)
    assert file.read_bytes() == CONTENT


async def test_a_hub_that_never_gets_further_is_given_up(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [0] * 20
    with pytest.raises(SourceError, match="broke off"):
        await fetched(hub, tmp_path)
    assert len(ranges(hub)) == 5


async def test_a_wrong_checksum_is_refused_and_nothing_stays(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="wrong checksum; it was deleted"):
        await fetched(hub, tmp_path, gguf(sha256="0" * 64))
    assert [p for p in (tmp_path / "models").rglob("*.gguf*") if p.suffix != ".lock"] == []


async def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    page = b"<html>" * 1000
    model = HubModel(NAME, files={"tiny-q4_k_m.gguf": page})
    with Hub(model) as hub, pytest.raises(SourceError, match="is no GGUF"):
        await fetched(hub, tmp_path, gguf(page))


async def test_a_file_larger_than_announced_is_cut_off(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="larger than the hub stated"):
        await fetched(hub, tmp_path, gguf(size=1000))


@pytest.mark.parametrize(
    ("status", "said"), [(401, "login"), (403, "allowed"), (404, "no longer there")]
)
async def test_a_refusal_of_the_hub_is_a_sentence(
    hub: Hub, tmp_path: Path, status: int, said: str
) -> None:
    hub.faults = [Reply(status)]
    with pytest.raises(SourceError, match=said):
        await fetched(hub, tmp_path)
    assert len(hub.asked) == 1


async def test_too_little_room_is_said_before_a_byte_is_fetched(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(SourceError, match="free some space"):
        await fetched(hub, tmp_path)
    assert hub.asked == []


async def test_two_at_once_do_not_write_into_each_other(hub: Hub, tmp_path: Path) -> None:
    target = place_of(gguf(), tmp_path)
    target.parent.mkdir(parents=True)
    with FileLock(f"{target}.lock"), pytest.raises(SourceError, match="another process"):
        await fetched(hub, tmp_path)


async def test_a_listener_who_leaves_ends_the_download(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [1_500_000, 0, 0, 0, 0]
    async with aclosing(fetch(gguf(), tmp_path, HubPlace(hub.url), pause_s=30)) as steps:
        async for _ in steps:
            break
    target = place_of(gguf(), tmp_path)
    assert not target.exists()
    assert target.with_name(f"{target.name}.part").exists()


async def test_bytes_at_another_host_are_fetched_from_there(hub: Hub, tmp_path: Path) -> None:
    with Hub(*hub.models.values()) as cdn:
        hub.location = f"{cdn.url}/cdn/{{file}}"
        _, file = await fetched(hub, tmp_path)
        assert file.read_bytes() == CONTENT
        assert len(cdn.asked) == 1
        assert hub.asked[0].headers["authorization"] == "Bearer hf_secret"
        assert "authorization" not in cdn.asked[0].headers


@pytest.mark.parametrize(
    "fields",
    [
        {"file": "../../evil.gguf"},
        {"file": "a/b.gguf"},
        {"file": "weights.bin"},
        {"file": "a\n.gguf"},
        {"repository": "a b/c"},
        {"revision": "main"},
        {"size": 0},
    ],
    ids=str,
)
def test_a_name_that_could_lead_elsewhere_is_no_weights(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        gguf(**fields)


def test_a_repository_of_dots_stays_in_its_folder(tmp_path: Path) -> None:
    place = place_of(gguf(repository="../.."), tmp_path)
    assert place.is_relative_to(tmp_path / "models")
