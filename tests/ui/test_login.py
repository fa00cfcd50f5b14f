"""The login of the page: slow to guess, and nothing is shown before it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.ui.conftest import Site
from ui.login import FREE, LONGEST_S, Attempts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_five_a_second_doubling_to_thirty_per_user_and_address():
    clock = Clock()
    attempts = Attempts(clock)
    assert [attempts.begin("ada", "10.0.0.1") for _ in range(FREE)] == [0.0] * FREE
    waits = []
    for _ in range(8):
        waits.append(attempts.begin("ada", "10.0.0.1"))
        assert attempts.begin("bob", "10.0.0.1") == 0.0 or len(waits) >= FREE
        assert attempts.begin("ada", f"10.0.1.{len(waits)}") == 0.0
        clock.now += waits[-1]
        assert attempts.begin("ada", "10.0.0.1") == 0.0
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, LONGEST_S, LONGEST_S, LONGEST_S]


def test_a_success_forgets_the_failures_before_it():
    attempts = Attempts(Clock())
    for _ in range(FREE):
        attempts.begin("ada", "a")
    attempts.succeeded("ada", "a")
    assert attempts.begin("ada", "a") == 0.0


def test_forged_addresses_do_not_make_guessing_cheap():
    attempts = Attempts(Clock())
    tried = [attempts.begin("ada", f"address {n}") for n in range(1000)]
    assert tried.count(0.0) == 50


def test_what_is_remembered_is_bounded():
    attempts = Attempts(Clock())
    for n in range(11_000):
        attempts.begin(f"user {n}", "a")
    assert len(attempts._failures) == 10_000


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("locked")
    environ = {"ROUTER_UI_AUTH": "ada:correct horse"}
    with Site(folder / "config", folder / "data", environ=environ) as site:
        yield site


def test_nothing_is_shown_or_done_before_the_login(locked: Site):
    with httpx.Client(base_url=locked.url, timeout=20) as http:
        page = http.get("/")
        assert page.status_code == 200
        assert "/interactions" not in page.text
        assert "begin_example" not in page.text
        for path in ("config", "gradio_api/info", "gradio_api/openapi.json", "gradio_api/file=/x"):
            assert http.get(f"/{path}").status_code == 401, path
        for path in ("run/ask", "call/ask", "queue/join", "upload", "cancel", "reset"):
            assert http.post(f"/gradio_api/{path}", json={"data": ["hi"]}).status_code == 401, path


def test_wrong_passwords_are_slowed_down_and_the_right_one_lets_in(locked: Site):
    with httpx.Client(base_url=locked.url, timeout=20) as http:

        def sign_in(user: str, password: str) -> httpx.Response:
            return http.post("/login", data={"username": user, "password": password})

        assert sign_in("ada", "correct horse").status_code == 200
        assert http.get("/config").status_code == 200
        assert "/interactions" in http.get("/").text
        found = [sign_in(" ADA ", "wrong") for _ in range(FREE + 2)]
        assert [one.status_code for one in found] == [400] * FREE + [429, 429]
        assert found[-1].headers["retry-after"] == "1"
        assert sign_in("ada", "correct horse").status_code == 429


def test_a_login_that_is_no_form_is_one_sentence(locked: Site):
    with httpx.Client(base_url=locked.url, timeout=20) as http:
        for kind in ("multipart/form-data", "application/x-www-form-urlencoded", "text/plain"):
            reply = http.post("/login", content=b"%ff%f", headers={"content-type": kind})
            assert reply.status_code in (400, 422)
