"""Nothing that the page serves reads a file which was not uploaded in the same session."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client.utils import encode_file_path

from tests.ui.conftest import Site
from ui.uploads import MOST_FILES

SECRET = "the colour of the vault is mauve"
ROUTES = ("run/{name}", "api/{name}", "call/{name}", "call/v2/{name}", "queue/join")
"""Each way to an event."""


@pytest.fixture
def http(site: Site) -> Iterator[httpx.Client]:
    """A stranger's browser: it keeps its cookies."""
    with httpx.Client(base_url=site.url, timeout=30) as client:
        client.get("/")
        yield client


@pytest.fixture
def other(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=30) as client:
        client.get("/")
        yield client


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "outside.md"
    file.write_text(SECRET)
    return file


def file_data(path: object, **more: Any) -> dict[str, Any]:
    return {"path": str(path), "meta": {"_type": "gradio.FileData"}, **more}


def foreign(folder: Path, secret: Path) -> list[Any]:
    """What a stranger would name, in each form that Gradio might take for a file."""
    link = folder / "link.md"
    link.symlink_to(secret)
    paths = [secret, link, "/dev/zero", folder, "/proc/self/environ", os.path.relpath(secret)]
    addresses = [f"file://{secret}", "http://127.0.0.1:9/x.md", f"/gradio_api/file={secret}"]
    as_files = [file_data(path) for path in (*paths, *addresses)]
    streamed = file_data(secret, is_stream=True, url=str(secret), mime_type="text/markdown")
    nested = {"value": file_data(secret), "path": str(secret)}
    return [*map(str, paths), *as_files, [as_files[0]], [as_files], streamed, nested]


def dependencies(http: httpx.Client) -> list[dict[str, Any]]:
    """The page's events; of those that run a script in the browser and reach no handler, a few."""
    found = http.get("/config").json()["dependencies"]
    handled = [one for one in found if one["backend_fn"]]
    assert len(handled) > 40
    return [*handled, *[one for one in found if not one["backend_fn"]][::20]]


def cache_of(site: Site) -> set[Path]:
    return {path for path in Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*") if path.is_file()}


def body_for(route: str, dependency: dict[str, Any], data: list[Any], value: Any) -> Any:
    if route.startswith("call/v2"):
        return dict.fromkeys(("prompt", "category", "provider", "question", "request_id"), value)
    return {"data": data, "fn_index": dependency["id"], "session_hash": "stranger"}


def outcome(http: httpx.Client, route: str, reply: httpx.Response) -> str:
    """All that a stranger learns: the reply, and what comes of an event that was taken."""
    if reply.status_code != 200 or "event_id" not in reply.json():
        return reply.text
    if route == "queue/join":
        with http.stream("GET", "/gradio_api/queue/data?session_hash=stranger") as stream:
            said = []
            for line in stream.iter_lines():
                said.append(line)
                if "process_completed" in line:
                    break
            return "\n".join(said)
    return http.get(f"/gradio_api/call/any/{reply.json()['event_id']}").text


def test_no_event_and_no_endpoint_reads_a_foreign_file(
    site: Site, http: httpx.Client, tmp_path: Path, secret: Path
):
    """Every event that the page has, by every way to it, in every place of its arguments.

    What Gradio would do with a file shows in its folder: it hashes what it copies there.
    """
    before = cache_of(site)
    values = foreign(tmp_path, secret)
    for n, dependency in enumerate(dependencies(http)):
        places = len(dependency["inputs"])
        for m, route in enumerate(ROUTES):
            value = values[(n * len(ROUTES) + m) % len(values)]
            files = value if isinstance(value, (dict, list)) else file_data(value)
            data = [files] * max(places, 1)
            address = f"/gradio_api/{route.format(name=dependency['api_name'])}"
            reply = http.post(address, json=body_for(route, dependency, data, files))
            said = outcome(http, route, reply)
            assert reply.status_code in (404, 422) or not (places and dependency["backend_fn"]), (
                address,
                reply.text,
            )
            assert SECRET not in said, address
            assert "outside.md" not in said, address
            assert not re.search(r"Traceback|router-page", said), address
    assert cache_of(site) == before
    assert http.get(f"/gradio_api/file={secret}").status_code == 403
    answer = http.post("/gradio_api/run/route", json={"data": ["Is it alive?"]}).json()
    assert answer["data"][0]["category"]


def test_a_file_input_takes_each_foreign_form_for_no_file_of_this_session(
    site: Site, http: httpx.Client, tmp_path: Path, secret: Path
):
    before = cache_of(site)
    for value in foreign(tmp_path, secret):
        reply = http.post("/gradio_api/run/add", json={"data": [value]})
        listed = http.post("/gradio_api/run/add", json={"data": [[value]]})
        assert (reply.status_code, listed.status_code) == (422, 422)
        assert "outside.md" not in reply.text + listed.text
    documents = http.post("/gradio_api/run/documents", json={"data": []}).json()["data"][0]
    assert "outside.md" not in str(documents)
    assert cache_of(site) == before


def test_a_text_that_is_a_path_stays_a_text(http: httpx.Client, secret: Path):
    reply = http.post("/gradio_api/run/ask", json={"data": [str(secret), None, "swift"]})
    assert reply.status_code == 200
    assert SECRET not in reply.text


def upload(http: httpx.Client, *files: tuple[str, bytes]) -> httpx.Response:
    return http.post("/gradio_api/upload", files=[("files", file) for file in files])


def test_an_upload_belongs_to_its_session_alone(http: httpx.Client, other: httpx.Client):
    (path,) = upload(http, ("mine.md", b"The zibbet is mine.")).json()
    assert http.get(f"/gradio_api/file={encode_file_path(path)}").status_code == 200
    assert other.get(f"/gradio_api/file={encode_file_path(path)}").status_code == 403
    stolen = other.post("/gradio_api/run/add", json={"data": [[file_data(path)]]})
    assert stolen.status_code == 422
    assert path not in stolen.text
    nobody = httpx.post(f"{http.base_url}/gradio_api/run/add", json={"data": [[file_data(path)]]})
    assert nobody.status_code == 422
    own = http.post("/gradio_api/call/add", json={"data": [[file_data(path)]]}).json()
    assert "event: complete" in http.get(f"/gradio_api/call/add/{own['event_id']}").text
    assert not Path(path).exists()


@pytest.mark.parametrize(
    "name", ["../../escape.md", "..", "/etc/passwd", "a\\..\\b.md", "%2e%2e/c"]
)
def test_an_upload_stays_where_uploads_are_whatever_its_name_is(http: httpx.Client, name: str):
    reply = upload(http, (name, b"x"))
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    for path in reply.json() if reply.status_code == 200 else []:
        assert Path(path).resolve().is_relative_to(folder)


def test_the_upload_folder_is_for_this_user_alone(http: httpx.Client):
    assert Path(os.environ["GRADIO_TEMP_DIR"]).stat().st_mode & 0o077 == 0


def test_a_session_uploads_so_many_files_and_no_more(site: Site, http: httpx.Client):
    before = cache_of(site)
    many = [(f"{n}.md", f"Document {n}".encode()) for n in range(MOST_FILES + 1)]
    refused = upload(http, *many)
    assert (refused.status_code, cache_of(site)) == (413, before)
    assert "20 files and 50 MB" in refused.text
    assert upload(http, *many[:-1]).status_code == 200
    assert upload(http, many[-1]).status_code == 413
    assert len(cache_of(site) - before) == MOST_FILES


def test_a_session_uploads_so_many_bytes_and_no_more(site: Site, http: httpx.Client):
    before = cache_of(site)
    large = bytes(18 * 2**20)
    assert upload(http, ("a.txt", large), ("b.txt", b"b" + large)).status_code == 200
    assert upload(http, ("c.txt", b"c" + large)).status_code == 413
    assert len(cache_of(site) - before) == 2


def test_what_the_page_does_not_use_is_not_there(http: httpx.Client, secret: Path):
    for path in (
        f"/gradio_api/file=http://127.0.0.1:9/{secret}",
        f"/gradio_api/file/{secret}",
        f"/gradio_api/proxy={secret}",
        "/gradio_api/proxy=http://127.0.0.1:9/",
        "/gradio_api/deep_link?session_hash=stranger",
        "/gradio_api/stream/s/r/1/playlist-file",
        "/gradio_api/custom_component/x/client/component/%1b[31m",
        "/gradio_api/dev/reload",
        "/gradio_api/vibe-code",
        "/gradio_api/runs",
        "/monitoring",
        "/pwa_icon",
    ):
        reply = http.get(path)
        assert reply.status_code in (403, 404), path
        assert SECRET not in reply.text
    for path in (
        "component_server",
        "process_recording",
        "vibe-edit",
        "stream/x",
        "stream/x/close",
    ):
        body = {"data": file_data(secret), "fn_name": "x", "component_id": 1, "session_hash": "s"}
        assert http.post(f"/gradio_api/{path}", json=body).status_code == 404
        assert http.post(f"/gradio_api/{path}", files={"file": b"x"}).status_code in (404, 415)


def test_an_export_is_for_the_session_that_made_it(http: httpx.Client, other: httpx.Client):
    made = http.post("/gradio_api/run/write", json={"data": [], "event_data": {}}).json()
    path = encode_file_path(made["data"][0]["path"])
    assert http.get(f"/gradio_api/file={path}").status_code == 200
    assert other.get(f"/gradio_api/file={path}").status_code == 403
