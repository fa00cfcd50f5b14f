"""How much is sent before the page can be used."""

import httpx
import pytest

from tests.ui.conftest import Site

pytestmark = pytest.mark.browser

MOST_BYTES = 400_000


def test_the_first_load_is_small(site: Site, browser):
    """Headers, and bodies as compressed, of all that a browser with an empty cache loads."""
    context = browser.new_context()
    page = context.new_page()
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    sent: list[float] = []
    devtools.on("Network.loadingFinished", lambda event: sent.append(event["encodedDataLength"]))
    page.goto(site.url)
    page.wait_for_selector("#picture .rt-view[data-phase=idle]")
    page.wait_for_selector("#talk [role=log]")
    page.wait_for_selector("#examples .rt-example")
    context.close()
    assert len(sent) > 30
    assert sum(sent) < MOST_BYTES


def test_the_page_is_compressed_for_those_who_take_it(site: Site):
    with httpx.Client(base_url=site.url, timeout=60) as http:
        plain = http.get("/", headers={"accept-encoding": "identity"})
        small = http.get("/", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert int(small.headers["content-length"]) < len(plain.content) / 3
