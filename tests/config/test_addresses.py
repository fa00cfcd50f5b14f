"""A key goes only to the address that it was given for, and no address leads inside."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from config import editor
from config.addresses import check_key_variable, check_upstream, origin
from config.errors import AlreadyThereError, ConfigError, UsageError
from config.loader import load
from config.models import Settings

KEY = "gsk-0123456789abcdef"
HOSTS = {
    "groq": {"base_url": "https://api.groq.com/openai/v1", "api_key_env": "GROQ_API_KEY"},
    "stage": {"kind": "simulated"},
}


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    written = {
        "hosts": HOSTS,
        "providers": [
            {"name": "groq-a", "host": "groq", "model": "a"},
            {"name": "steady", "host": "stage", "model": "s"},
        ],
        "priorities": {"general": ["groq-a", "steady"]},
        "fallback": {"provider": "steady"},
    }
    config = tmp_path / "config"
    config.mkdir()
    (config / "providers.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    (config / "categories.yaml").write_text("general: {description: any, examples: [hello]}\n")
    return config, tmp_path / "data"


def loaded(folders: tuple[Path, Path], **environ: str) -> Settings:
    return load(*folders, environ=environ, dotenv=folders[0] / ".env")


def key_of(settings: Settings, host: str = "groq") -> str | None:
    key = settings.hosts[host].key
    return key.get_secret_value() if key else None


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://API.Groq.com/openai/v1", "https://api.groq.com"),
        ("https://api.groq.com:443", "https://api.groq.com"),
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434"),
        ("api.groq.com", "https://api.groq.com"),
        ("http://[::1]:80/v1", "http://[::1]"),
    ],
)
def test_an_origin_is_scheme_name_and_port(url: str, found: str):
    assert origin(url) == found


def test_a_key_that_says_nothing_of_its_host_goes_where_the_operator_wrote(folders):
    assert key_of(loaded(folders, GROQ_API_KEY=KEY)) == KEY


@pytest.mark.parametrize("given_for", ["https://api.groq.com", "api.groq.com"])
def test_a_key_goes_to_the_host_that_it_was_given_for(folders, given_for: str):
    settings = loaded(folders, GROQ_API_KEY=KEY, GROQ_API_KEY_HOST=given_for)
    assert key_of(settings) == KEY


@pytest.mark.parametrize(
    "given_for", ["https://evil.example", "http://api.groq.com", "https://api.groq.com:8443", "[::"]
)
def test_a_key_goes_to_no_other_host_scheme_or_port(folders, given_for: str):
    settings = loaded(folders, GROQ_API_KEY=KEY, GROQ_API_KEY_HOST=given_for)
    assert key_of(settings) is None
    why = settings.provider("groq-a").disabled or ""
    assert "is not sent to https://api.groq.com: give it again on the page" in why
    assert KEY not in why


def test_a_host_beside_a_key_counts_only_where_the_key_lies(folders):
    """The environment's key wins over `.env`, and what `.env` says of its own does not hold."""
    (folders[0] / ".env").write_text(f"GROQ_API_KEY={KEY}\nGROQ_API_KEY_HOST=https://old.example\n")
    assert key_of(loaded(folders)) is None
    assert key_of(loaded(folders, GROQ_API_KEY=KEY + "2")) == KEY + "2"


@pytest.mark.parametrize("environ", [{"GROQ_API_KEY": KEY}, {}])
def test_an_address_that_the_application_changed_gets_no_key_until_it_is_given_anew(
    folders, environ: dict[str, str]
):
    (folders[0] / ".env").write_text(f"GROQ_API_KEY={KEY}\n")
    evil = editor.Assignment(("hosts", "groq"), "base_url", "https://evil.example/v1")
    editor.make(*folders, evil, "to read the key")
    assert key_of(loaded(folders, **environ)) is None
    given = {"GROQ_API_KEY": KEY, "GROQ_API_KEY_HOST": "https://evil.example"}
    assert key_of(loaded(folders, **given)) == KEY
    editor.undo(*folders)
    assert key_of(loaded(folders, **environ)) == KEY


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("hosts", "groq"), "api_key_env", "OPENAI_API_KEY"),
        (("hosts", "groq"), "base_url_env", "OTHER_URL"),
    ],
)
def test_every_way_to_send_a_key_elsewhere_binds_it(folders, path, key: str, value: str):
    editor.make(*folders, editor.Assignment(path, key, value), "")
    given = {"GROQ_API_KEY": KEY, "OPENAI_API_KEY": KEY, "OTHER_URL": "https://evil.example/v1"}
    assert key_of(loaded(folders, **given)) is None


def test_no_edit_unbinds_a_key(folders):
    moved = editor.Assignment(("hosts", "groq"), "base_url", "https://evil.example/v1")
    editor.make(*folders, moved, "")
    for value in (None, False):
        with_key = editor.Assignment(("hosts", "groq"), "bound_key", value)
        editor.make(*folders, with_key, "")
        assert key_of(loaded(folders, GROQ_API_KEY=KEY)) is None


@pytest.mark.parametrize(("header", "moves"), [("cf-aig-authorization", False), ("X-Title", True)])
def test_a_header_that_may_be_a_secret_is_not_sent_to_another_address(folders, header, moves: bool):
    file = folders[0] / "providers.yaml"
    written = yaml.safe_load(file.read_text())
    written["hosts"]["groq"]["headers"] = {header: "Bearer something"}
    file.write_text(yaml.safe_dump(written, sort_keys=False))
    evil = editor.Assignment(("hosts", "groq"), "base_url", "https://evil.example/v1")
    if moves:
        editor.make(*folders, evil, "")
        return
    with pytest.raises(ConfigError, match=f"sends `{header}` of its own") as refused:
        editor.make(*folders, evil, "to read the header")
    assert "something" not in str(refused.value)
    assert yaml.safe_load(file.read_text()) == written


def new(host: dict[str, object] | None, **entry: object) -> editor.NewModel:
    return editor.NewModel({"name": "new", "host": "acme", "model": "m", **entry}, host, first=True)


def test_a_host_that_is_added_never_gets_a_key_that_is_there_already(folders):
    host = {"base_url": "https://evil.example/v1", "api_key_env": "GROQ_API_KEY"}
    before = (folders[0] / "providers.yaml").read_bytes()
    with pytest.raises(ConfigError, match="was not given for the new address of host `acme`"):
        editor.make(*folders, new(host), "to read the key")
    assert (folders[0] / "providers.yaml").read_bytes() == before
    editor.make(*folders, new({**host, "bound_key": True}), "")
    settings = loaded(folders, GROQ_API_KEY=KEY)
    assert key_of(settings, "acme") is None
    assert key_of(settings, "groq") == KEY


def test_a_model_that_is_added_is_in_every_order_and_taken_back(folders):
    before = (folders[0] / "providers.yaml").read_bytes()
    one = new({"base_url": "http://127.0.0.1:9/v1"}, cost={"input": 0.1, "output": 0.2})
    lines = editor.difference(*folders, one)
    assert any(line.startswith("+") and "acme" in line for line in lines)
    assert (folders[0] / "providers.yaml").read_bytes() == before
    editor.make(*folders, one, "ours")
    settings = loaded(folders)
    assert settings.priorities["general"] == ("new", "groq-a", "steady")
    assert settings.provider("new").disabled is None
    with pytest.raises(AlreadyThereError):
        editor.make(*folders, one, "again")
    assert "undid the addition of `new`" in editor.undo(*folders)
    assert (folders[0] / "providers.yaml").read_bytes() == before


NAMES = {
    "public.example": ["93.184.215.14", "2606:2800:220:1::1"],
    "inner.example": ["10.0.0.8"],
    "mixed.example": ["93.184.215.14", "127.0.0.1"],
    "metadata.example": ["169.254.169.254"],
    "nowhere.example": [],
}


@pytest.mark.parametrize(
    ("url", "here", "keyed", "refused"),
    [
        ("https://public.example/v1", False, True, None),
        ("https://public.example/v1", True, True, None),
        ("http://public.example/v1", False, False, "not https"),
        ("http://public.example/v1", True, True, "unencrypted"),
        ("http://public.example/v1", True, False, None),
        ("http://127.0.0.1:11434/v1", True, True, None),
        ("http://127.0.0.1:11434/v1", False, False, "not public"),
        ("https://inner.example/v1", False, False, "not public"),
        ("https://inner.example/v1", True, True, None),
        ("https://mixed.example/v1", False, False, "not public"),
        ("https://[::ffff:127.0.0.1]/v1", False, False, "not public"),
        ("https://[fd00::1]/v1", False, False, "not public"),
        ("http://169.254.169.254/latest", True, False, "no model is served"),
        ("https://metadata.example/v1", True, False, "no model is served"),
        ("http://[fe80::1%25eth0]/v1", True, False, "no model is served"),
        ("http://0.0.0.0/v1", True, False, "no model is served"),
        ("https://[2002:7f00:1::]/v1", False, False, "not public"),
        ("https://[64:ff9b::a00:8]/v1", False, False, "not public"),
        ("https://[64:ff9b::a9fe:a9fe]/v1", True, False, "no model is served"),
        ("https://[::127.0.0.1]/v1", False, False, "not public"),
        ("https://[::1]/v1", False, False, "not public"),
        ("https://[::1]/v1", True, True, None),
        ("https://[::]/v1", True, False, "no model is served"),
        ("https://nowhere.example/v1", True, False, "is not known"),
    ],
)
def test_an_address_that_a_person_names_leads_nowhere_inside(url, here, keyed, refused):
    def check() -> None:
        check_upstream(url, here=here, keyed=keyed, resolve=lambda name: NAMES[name])

    if refused is None:
        check()
    else:
        with pytest.raises(UsageError, match=refused):
            check()


@pytest.mark.parametrize(
    "name",
    [
        "PATH",
        "ROUTER_UI_AUTH",
        "ROUTER_API_KEYS",
        "ROUTER_EXTRA_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "GITHUB_TOKEN",
        "groq_api_key",
        "GROQ_BASE_URL",
        "A\nB_KEY",
        "",
    ],
)
def test_only_a_variable_of_an_upstreams_key_may_be_named(name: str):
    with pytest.raises(UsageError, match="must be in capitals"):
        check_key_variable(name)
