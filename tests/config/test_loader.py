"""Each mistake in the configuration is one line that names the place and the mend."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.loader import load
from config.models import Ranking, Settings
from config.yaml_file import YamlFile

PROVIDERS = """\
hosts:
  api:
    base_url: https://api.example.com/v1/
    api_key_env: API_KEY
  anywhere:
    base_url_env: ANY_URL
    api_key_env: ANY_KEY
  here:
    kind: llama_cpp
  theatre:
    kind: simulated
providers:
  - name: big
    host: api
    model: llama-big
    cost: {input: 0.5, output: 0.8}
  - name: any
    host: anywhere
    model_env: ANY_MODEL
  - name: small
    host: here
    model: llama-small
  - name: actor
    host: theatre
    model: sim-actor
    simulation: {tokens: 10}
priorities:
  technical: [big, small]
  general: [big, any, actor]
fallback:
  provider: small
limits:
  ttft_s: 3.0
  stall_s: 4.0
  technical: {ttft_s: 2.5}
"""
CATEGORIES = """\
technical:
  description: Code and science.
  examples: [Write a function.]
general:
  description: Everything else.
  examples:
    facts: [What is the capital of France?]
"""
Write = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "providers.yaml").write_text(PROVIDERS)
    (tmp_path / "categories.yaml").write_text(CATEGORIES)
    return tmp_path


def read(folder: Path, environ: dict[str, str] | None = None, **more: object) -> Settings:
    options: dict[str, object] = {"environ": environ or {}, "dotenv": None, **more}
    return load(folder, folder / "data", **options)  # type: ignore[arg-type]


def refusal(folder: Path, environ: dict[str, str] | None = None, **more: object) -> str:
    with pytest.raises(ConfigError) as raised:
        read(folder, environ, **more)
    message = str(raised.value)
    assert "\n" not in message
    return message.replace(f"{folder}{os.sep}", "")


def edit(folder: Path, old: str, new: str, file: str = "providers.yaml") -> None:
    text = (folder / file).read_text()
    assert text.count(old) == 1, f"{old!r} is not unique"
    (folder / file).write_text(text.replace(old, new))


# ── what a good configuration becomes ────────────────────────────────────────────────────────


def test_a_host_with_its_key_is_enabled_and_the_key_stays_hidden(folder: Path) -> None:
    settings = read(folder, {"API_KEY": "sk-secret"})
    host = settings.hosts["api"]
    assert (host.url, host.disabled) == ("https://api.example.com/v1", None)
    assert host.key is not None
    assert host.key.get_secret_value() == "sk-secret"
    assert "sk-secret" not in repr(settings)
    assert "sk-secret" not in settings.model_dump_json()


def test_a_host_without_its_key_is_disabled_and_says_what_to_set(folder: Path) -> None:
    settings = read(folder)
    reason = "API_KEY is not set: put it into .env or the environment"
    assert settings.hosts["api"].disabled == reason
    assert settings.provider("big").disabled == reason
    assert settings.order("technical") == ("small",)


def test_a_provider_names_everything_that_is_missing(folder: Path) -> None:
    disabled = read(folder).provider("any").disabled
    assert disabled is not None
    assert disabled.startswith("ANY_URL, ANY_KEY and ANY_MODEL are not set")


def test_three_variables_bring_any_llama_api_to_life(folder: Path) -> None:
    given = {"ANY_URL": "http://127.0.0.1:9/v1", "ANY_KEY": "k", "ANY_MODEL": "llama-x"}
    provider = read(folder, given).provider("any")
    assert (provider.disabled, provider.resolved_model) == (None, "llama-x")


def test_an_address_in_the_environment_wins_over_the_written_one(folder: Path) -> None:
    edit(folder, "    api_key_env: API_KEY\n", "    base_url_env: API_URL\n")
    assert read(folder).hosts["api"].url == "https://api.example.com/v1"
    assert read(folder, {"API_URL": "http://here/v1"}).hosts["api"].url == "http://here/v1"


def test_embedded_and_simulated_hosts_need_nothing(folder: Path) -> None:
    settings = read(folder)
    assert settings.enabled("small")
    assert settings.enabled("actor")


def test_a_simulated_provider_without_a_script_gets_the_plain_one(folder: Path) -> None:
    edit(folder, "    simulation: {tokens: 10}\n", "")
    assert read(folder).provider("actor").simulation is not None


def test_a_category_with_no_enabled_provider_is_no_mistake(folder: Path) -> None:
    edit(folder, "technical: [big, small]", "technical: [big]")
    assert read(folder).order("technical") == ()


def test_a_disabled_fallback_is_no_mistake_and_says_what_stands_in(folder: Path) -> None:
    edit(folder, "provider: small", "provider: big")
    disabled = read(folder).provider("big").disabled
    assert disabled is not None
    assert "passages themselves" in disabled


def test_a_category_inherits_the_limits_it_does_not_set(folder: Path) -> None:
    settings = read(folder)
    assert settings.limits_for("technical").ttft_s == 2.5
    assert settings.limits_for("technical").stall_s == 4.0
    assert settings.limits_for("general").ttft_s == 3.0


def test_a_date_stays_the_text_that_it_is(folder: Path) -> None:
    edit(folder, "    model: llama-big\n", "    model: llama-big\n    added: 2026-10-01\n")
    assert read(folder).provider("big").added == "2026-10-01"


def test_an_empty_section_means_its_defaults(folder: Path) -> None:
    edit(folder, "limits:\n  ttft_s", "ranking:\nlimits:\n  ttft_s")
    assert read(folder).ranking == Ranking()


def test_merge_keys_and_anchors_work(folder: Path) -> None:
    edit(folder, "technical: [big, small]", "technical: &order [big, small]")
    edit(folder, "general: [big, any, actor]", "general: *order")
    assert read(folder).priorities["general"] == ("big", "small")


# ── the environment ──────────────────────────────────────────────────────────────────────────


def test_dotenv_is_read_and_the_process_environment_wins(folder: Path) -> None:
    dotenv = folder / ".env"
    dotenv.write_text("# keys\nexport API_KEY='from file'\nANY_KEY=file # comment\n")
    settings = read(folder, {"ANY_KEY": "process"}, dotenv=dotenv)
    keys = {name: host.key.get_secret_value() for name, host in settings.hosts.items() if host.key}
    assert keys == {"api": "from file", "anywhere": "process"}
    assert settings.variables == {"API_KEY": ".env", "ANY_KEY": "environment"}
    assert "API_KEY" not in os.environ


def test_an_empty_variable_counts_as_not_set(folder: Path) -> None:
    (folder / ".env").write_text("API_KEY=from-file\n")
    settings = read(folder, {"API_KEY": " "}, dotenv=folder / ".env")
    assert settings.variables["API_KEY"] == ".env"
    assert read(folder, {"API_KEY": ""}).hosts["api"].disabled is not None


def test_the_routers_own_variables_are_read(folder: Path) -> None:
    environment = read(
        folder,
        {
            "ROUTER_DATABASE_URL": "postgresql+psycopg://me:pw@db/router",
            "ROUTER_CHROMA_URL": "http://chroma:8000",
            "ROUTER_API_KEYS": "one, two,,",
            "ROUTER_UI_AUTH": "me:pass:word",
            "SPACE_ID": "me/space",
        },
    ).environment
    assert [key.get_secret_value() for key in environment.api_keys] == ["one", "two"]
    assert environment.ui_auth is not None
    assert environment.ui_auth.get_secret_value() == "me:pass:word"
    assert environment.database_url == "postgresql+psycopg://me:pw@db/router"
    assert environment.chroma_url == "http://chroma:8000"
    assert environment.space_id == "me/space"


@pytest.mark.parametrize(
    ("name", "value", "mend"),
    [
        ("ROUTER_UI_AUTH", "nocolon-hidden", "user:password"),
        ("ROUTER_DATABASE_URL", "hidden.db", "sqlite:///"),
        ("ROUTER_CHROMA_URL", "hidden:8000", "http://"),
        ("ANY_URL", "ftp://hidden", "https://host/v1"),
        ("ANY_URL", "https://user:hidden@host/v1", "api_key_env"),
        ("ANY_URL", "https://host:hidden/v1", "https://host/v1"),
        ("ANY_URL", "https://host/v1?key=hidden", "no `?…`"),
    ],
)
def test_a_bad_variable_is_named_and_its_value_is_not_repeated(
    folder: Path, name: str, value: str, mend: str
) -> None:
    message = refusal(folder, {name: value})
    assert message.startswith(f"{name}: ")
    assert mend in message
    assert "hidden" not in message


def test_a_broken_line_of_dotenv_is_named_and_not_repeated(folder: Path) -> None:
    (folder / ".env").write_text("API_KEY=good\nsk-secret\n")
    message = refusal(folder, dotenv=folder / ".env")
    assert message.startswith(".env:2: is not a `NAME=value` line")
    assert "sk-secret" not in message


# ── files that cannot be read ────────────────────────────────────────────────────────────────


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").endswith("no such config folder; choose one with --config")


@pytest.mark.parametrize("file", ["providers.yaml", "categories.yaml"])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert refusal(folder).startswith(f"{file}: the file is missing")


def test_a_data_folder_that_is_a_file_is_refused(folder: Path) -> None:
    (folder / "data").write_text("")
    assert refusal(folder).startswith("data: is not a folder; choose another with --data")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("hosts:\n  api: [1,\nproviders: 2\n", "providers.yaml:4: broken YAML"),
        ("hosts:\n\tapi: 1\n", "providers.yaml:2: broken YAML"),
        ("", "providers.yaml:1: must be a mapping"),
        ("- a\n- b\n", "providers.yaml:1: must be a mapping"),
        ("a: &x [*x]\n", "providers.yaml: is not valid YAML"),
        ("a: !!bool maybe\n", "providers.yaml: is not valid YAML"),
        ('a: !!int ""\n', "providers.yaml: is not valid YAML"),
        ("a: !!timestamp soon\n", "providers.yaml: is not valid YAML"),
        ("a: !!binary aGVsbG8=\n", "providers.yaml: may contain only text"),
        ("a: !!python/object:os.system x\n", "providers.yaml:1: broken YAML"),
        ("no: 1\n", "providers.yaml:1: the key no is not read as text; put it in quotes"),
    ],
)
def test_broken_yaml_is_named_with_its_line(folder: Path, text: str, start: str) -> None:
    (folder / "providers.yaml").write_text(text)
    assert refusal(folder).startswith(start)


def test_a_file_that_is_no_text_is_refused(folder: Path) -> None:
    (folder / "categories.yaml").write_bytes(b"\xff\xfe\x00a")
    assert "is not UTF-8 text" in refusal(folder)


# ── mistakes inside the files ────────────────────────────────────────────────────────────────

MISTAKES = {
    "unknown section": (
        "limits:\n  ttft_s",
        "limitz: {}\nlimits:\n  ttft_s",
        "providers.yaml:32: unknown key `limitz`: did you mean `limits`?",
    ),
    "unknown key of a provider": (
        "    cost: {input: 0.5, output: 0.8}",
        "    max_token: 5",
        "providers.yaml:16: unknown key `providers.big.max_token`: did you mean `max_tokens`?",
    ),
    "unknown key of a cost": (
        "output: 0.8",
        "out: 0.8, output: 0.8",
        "providers.yaml:16: unknown key `providers.big.cost.out`: did you mean `output`?",
    ),
    "unknown limit": (
        "  stall_s: 4.0",
        "  stal_s: 4.0",
        "providers.yaml:34: unknown key `limits.stal_s`: did you mean `stall_s`?",
    ),
    "unknown limit of a category": (
        "{ttft_s: 2.5}",
        "{ttf_s: 2.5}",
        "providers.yaml:35: unknown key `limits.technical.ttf_s`: did you mean `ttft_s`?",
    ),
    "unknown key without a near one": (
        "kind: llama_cpp",
        "kind: llama_cpp\n    zzz: 1",
        "providers.yaml:10: unknown key `hosts.here.zzz`: known are `api_key_env`, `base_url`, ",
    ),
    "key that the loader fills": (
        "    model: llama-big",
        "    model: llama-big\n    disabled: yes",
        "providers.yaml:16: `providers.big.disabled` is not a key of this file",
    ),
    "wrong type, text for a number": (
        "  ttft_s: 3.0",
        "  ttft_s: soon",
        "providers.yaml:33: `limits.ttft_s` must be a number",
    ),
    "wrong type, truth for a number": (
        "  ttft_s: 3.0",
        "  ttft_s: yes",
        "providers.yaml:33: `limits.ttft_s` must be a number",
    ),
    "wrong type, number for text": (
        "model: llama-big",
        "model: 3.1",
        "providers.yaml:15: `providers.big.model` must be text; put it in quotes",
    ),
    "wrong type, text for a list": (
        "[big, small]",
        "big",
        "providers.yaml:28: `priorities.technical` must be a list",
    ),
    "wrong type, list for a mapping": (
        "cost: {input: 0.5, output: 0.8}",
        "cost: [0.5, 0.8]",
        "providers.yaml:16: `providers.big.cost` must be a mapping",
    ),
    "missing key": (
        "    host: api\n",
        "",
        "providers.yaml:13: `providers.big.host` is missing: add it",
    ),
    "missing section": (
        "fallback:\n  provider: small\n",
        "",
        "providers.yaml:1: `fallback` is missing: add it",
    ),
    "negative limit": (
        "  ttft_s: 3.0",
        "  ttft_s: -3.0",
        "providers.yaml:33: `limits.ttft_s` must be at least 0",
    ),
    "negative limit of a category": (
        "{ttft_s: 2.5}",
        "{ttft_s: -1}",
        "providers.yaml:35: `limits.technical.ttft_s` must be at least 0",
    ),
    "number that is none": (
        "  ttft_s: 3.0",
        "  ttft_s: .nan",
        "providers.yaml:33: `limits.ttft_s` must be a finite number",
    ),
    "choice that is none": (
        "kind: llama_cpp",
        "kind: llama",
        "providers.yaml:9: `hosts.here.kind` must be 'openai', 'llama_cpp' or 'simulated'",
    ),
    "name that is none": (
        "name: big",
        "name: big one",
        "providers.yaml:13: `providers.big one.name` is not a valid name",
    ),
    "reserved by the router": (
        "priorities:\n",
        "  - {name: auto, host: here, model: m}\npriorities:\n",
        "providers.yaml:27: `providers.auto.name` is reserved by the router",
    ),
    "no model": (
        "    model: llama-big\n",
        "",
        "providers.yaml:13: `providers.big` needs exactly one of `model` and `model_env`",
    ),
    "extra that is ours": (
        "    model: llama-big\n",
        "    model: llama-big\n    extra: {stream: false}\n",
        "providers.yaml:13: `providers.big` cannot set `stream` in `extra`: the application",
    ),
    "duplicate provider": (
        "priorities:\n",
        "  - {name: big, host: here, model: m}\npriorities:\n",
        "providers.yaml:27: `providers` has `big` twice, here and on line 13",
    ),
    "duplicate key": (
        "    host: api\n",
        "    host: api\n    host: api\n",
        "providers.yaml:15: `providers.big.host` appears here and on line 14: keep one of them",
    ),
    "unknown host": (
        "    host: api\n",
        "    host: apo\n",
        "providers.yaml:14: `providers.big.host` names the unknown host `apo`: did you mean `api`?",
    ),
    "priorities name an unknown provider": (
        "[big, small]",
        "[big, smal]",
        "providers.yaml:28: `priorities.technical` names the unknown provider `smal`:"
        " did you mean `small`?",
    ),
    "priorities name a provider twice": (
        "[big, small]",
        "[big, small, big]",
        "providers.yaml:28: `priorities.technical` names `big` twice",
    ),
    "priorities are empty": (
        "[big, small]",
        "[]",
        "providers.yaml:28: `priorities.technical` is empty",
    ),
    "priorities of an unknown category": (
        "  general: [big",
        "  technica: [big]\n  general: [big",
        "providers.yaml:29: `priorities.technica` is not a category of categories.yaml:"
        " did you mean `technical`?",
    ),
    "category without priorities": (
        "  technical: [big, small]\n",
        "",
        "categories.yaml:1: `technical` has no line under `priorities` in providers.yaml",
    ),
    "unknown fallback": (
        "provider: small",
        "provider: tiny",
        "providers.yaml:31: `fallback.provider` names the unknown provider `tiny`",
    ),
    "limits of an unknown category": (
        "  technical: {ttft_s: 2.5}",
        "  tecnical: {ttft_s: 2.5}",
        "providers.yaml:35: `limits.tecnical` is not a category: did you mean `technical`?",
    ),
    "budget of an unknown provider": (
        "fallback:\n",
        "budget: {providers: {bog: 1}}\nfallback:\n",
        "providers.yaml:30: `budget.providers.bog` is not a provider: did you mean `big`?",
    ),
    "simulation on a real host": (
        "    model: llama-big\n",
        "    model: llama-big\n    simulation: {}\n",
        "providers.yaml:16: `providers.big.simulation` is only for hosts of kind simulated",
    ),
    "host without an address": (
        "    base_url_env: ANY_URL\n",
        "",
        "providers.yaml:5: `hosts.anywhere` has no address: add `base_url` or `base_url_env`",
    ),
    "address on a host that has none": (
        "kind: llama_cpp",
        "kind: llama_cpp\n    base_url: http://x/v1",
        "providers.yaml:10: `hosts.here.base_url` has no meaning for kind llama_cpp",
    ),
    "address that is none": (
        "https://api.example.com/v1/",
        "api.example.com/v1",
        "providers.yaml:3: `hosts.api.base_url` must start with http:// or https://",
    ),
    "key in the address": (
        "https://api.example.com/v1/",
        "https://sk-hidden@api.example.com/v1",
        "providers.yaml:3: `hosts.api.base_url` has a user name or key before the @",
    ),
    "key written in the file": (
        "    api_key_env: API_KEY\n",
        "    api_key: sk-hidden\n",
        "providers.yaml:4: `hosts.api.api_key` is written in the file: remove it, put the key"
        " into .env",
    ),
    "key in place of its variable": (
        "api_key_env: API_KEY",
        "api_key_env: sk-hidden",
        "providers.yaml:4: `hosts.api.api_key_env` must name a variable",
    ),
    "route in an address": (
        "https://api.example.com/v1/",
        "https://api.example.com/v1/chat/completions",
        "providers.yaml:3: `hosts.api.base_url` must end before `/chat/completions`",
    ),
    "two lines in a header": (
        "    api_key_env: API_KEY\n",
        '    headers: {X-Title: "a\\nb"}\n',
        "providers.yaml:4: `hosts.api.headers.X-Title` must be one line",
    ),
    "header without a name": (
        "    api_key_env: API_KEY\n",
        '    headers: {"X Title": a}\n',
        "providers.yaml:4: `hosts.api.headers.X Title` is not a header's name",
    ),
    "length as a header": (
        "    api_key_env: API_KEY\n",
        '    headers: {Content-Length: "5"}\n',
        "providers.yaml:4: `hosts.api.headers.Content-Length` is set for each request",
    ),
    "alias of nothing": (
        "limits:\n  ttft_s",
        "aliases: {gpt-4o: bigg}\nlimits:\n  ttft_s",
        "providers.yaml:32: `aliases.gpt-4o` stands for the unknown model `bigg`: did you mean",
    ),
    "alias of another alias": (
        "limits:\n  ttft_s",
        "aliases: {x: auto, y: x}\nlimits:\n  ttft_s",
        "providers.yaml:32: `aliases.y` stands for the unknown model `x`",
    ),
    "key in a header": (
        "    api_key_env: API_KEY\n",
        "    headers: {Authorization: Bearer sk-hidden}\n",
        "providers.yaml:4: `hosts.api.headers.Authorization` is written in the file",
    ),
}


@pytest.mark.parametrize(("old", "new", "start"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_named_with_its_place_and_mend(
    folder: Path, old: str, new: str, start: str
) -> None:
    edit(folder, old, new)
    message = refusal(folder)
    assert message.startswith(start)
    assert "hidden" not in message
    assert "more)" not in message


def test_a_route_in_an_addresss_variable_is_named(folder: Path) -> None:
    message = refusal(folder, {"ANY_URL": "http://127.0.0.1:8000/v1/completions/"})
    assert message.startswith("ANY_URL: the address of host `anywhere` must end before `/compl")


CATEGORY_MISTAKES = {
    "unknown key": ("description: Code", "describe: Code", "categories.yaml:2: unknown key"),
    "no examples": ("[Write a function.]", "[]", "categories.yaml:3: `technical.examples` must"),
    "examples of the wrong type": (
        "[Write a function.]",
        "5",
        "categories.yaml:3: `technical.examples` must be a list",
    ),
    "a number among the examples": (
        "[Write a function.]",
        "[Write a function., 5]",
        "categories.yaml:3: `technical.examples",
    ),
    "a name that is none": ("technical:", "tech nical:", "categories.yaml:1: `tech nical` is no"),
    "a name that an order has": (
        "technical:",
        "floor: {description: d, examples: [e]}\ntechnical:",
        "categories.yaml:1: `floor`",
    ),
    "a name that limits use": (
        "technical:",
        "ttft_s: {description: d, examples: [e]}\ntechnical:",
        "categories.yaml:1: `ttft_s`",
    ),
}


@pytest.mark.parametrize(
    ("old", "new", "start"), CATEGORY_MISTAKES.values(), ids=CATEGORY_MISTAKES.keys()
)
def test_a_mistake_in_the_categories_is_named(folder: Path, old: str, new: str, start: str) -> None:
    edit(folder, old, new, "categories.yaml")
    assert refusal(folder).startswith(start)


def test_of_several_mistakes_the_first_is_named_and_the_others_are_counted(folder: Path) -> None:
    edit(folder, "  stall_s: 4.0", "  stall_s: -4")
    edit(folder, "cost: {input: 0.5", "cost: {input: -1")
    edit(folder, "[Write a function.]", "[]", "categories.yaml")
    message = refusal(folder)
    assert message.startswith("providers.yaml:16: `providers.big.cost.input` must be at least 0")
    assert message.endswith(" (and 2 more)")


def test_a_message_names_the_file_as_the_caller_named_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    edit(folder, "ttft_s: 3.0", "ttft_s: -1")
    with pytest.raises(ConfigError, match=rf"^{re.escape(folder.name)}/providers\.yaml:33: "):
        load(folder.name, environ={}, dotenv=None)


def test_thinking_has_its_own_time_for_models_that_reason(folder: Path) -> None:
    assert read(folder).think_s("technical", "small") == 2.5
    edit(folder, "    model: llama-small", "    model: llama-small\n    capabilities: [reasoning]")
    assert read(folder).think_s("technical", "small") == 30.0
    edit(folder, "  stall_s: 4.0", "  stall_s: 4.0\n  think_s: 8")
    assert read(folder).think_s("technical", "small") == 8.0


def test_a_host_may_have_words_of_its_own_for_the_end_of_an_answer(folder: Path) -> None:
    edit(folder, "    base_url: ", "    finish_reasons: {eos: stop}\n    base_url: ")
    assert read(folder).hosts["api"].finish_reasons == {"eos": "stop"}
    edit(folder, "{eos: stop}", "{eos: stopp}")
    with pytest.raises(ConfigError, match=r"finish_reasons\.eos"):
        read(folder)


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for n in range(1, levels):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(9),
        bomb(30),
        "a: " + "[" * 100_000,
        "a: " + "{b: " * 10_000,
        "\n".join(f"{'  ' * n}a{n}:" for n in range(200)),
        "a: &a {b: *a}",
        "a: &a [1]\nb: *nobody",
        "a: &a {x: 1}\n" + "\n".join(f"b{n}:\n  <<: *a" for n in range(3)) + "\nc: [" + "[" * 50,
    ],
)
def test_yaml_that_grows_or_nests_absurdly_is_refused_at_once(tmp_path: Path, text: str) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text(text)
    started = time.process_time()
    with pytest.raises(ConfigError) as refused:
        YamlFile(path)
    assert time.process_time() - started < 2
    assert len(str(refused.value).splitlines()) == 1
    assert "providers.yaml" in str(refused.value)


def test_ordinary_aliases_are_read(tmp_path: Path) -> None:
    path = tmp_path / "providers.yaml"
    path.write_text("cost: &cost {input: 1, output: 2}\nproviders:\n  - {name: a, cost: *cost}\n")
    assert YamlFile(path).data["providers"][0]["cost"] == {"input": 1, "output": 2}
