"""Changes of providers.yaml: whole, valid, locked, journaled, and taken back."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from config import editor, writer
from config.errors import AlreadyThereError, ConfigError, NotFoundError
from config.loader import load
from config.yaml_splice import plain

PROVIDERS = """\
# Hosts first.
hosts:
  local: {base_url: "http://127.0.0.1:1/v1"}   # nobody listens here
providers:
  - name: llama-a
    host: local
    model: 'a'        # quoted on purpose

# Best first.
priorities:
  technical: [llama-a]   # one
  general: [llama-a]
fallback: {provider: llama-a}
"""
CATEGORIES = """\
technical: {description: code, examples: [write a loop]}
general: {description: the rest, examples: [hello]}
"""
ENTRY = {"name": "llama-b", "host": "local", "model": "b", "trial": {"share": 0.05}}
STEPS = ("locked", "edited", "validated", "backed up", "journaled", "written", "replaced", "synced")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    config = tmp_path / "config"
    config.mkdir()
    (config / "providers.yaml").write_text(PROVIDERS)
    (config / "categories.yaml").write_text(CATEGORIES)
    return config, tmp_path / "data"


def text_of(config: Path) -> str:
    return (config / "providers.yaml").read_text()


def files_in(config: Path) -> list[str]:
    return sorted(p.name for p in config.iterdir() if p.name != ".changes")


def append(config: Path, data: Path) -> None:
    editor.append_provider(config, data, ENTRY, {"technical": None}, "found by a search")


def test_an_appended_provider_is_in_the_settings_last_in_its_category(
    folders: tuple[Path, Path],
) -> None:
    append(*folders)
    settings = load(*folders, environ={}, dotenv=None)
    assert settings.provider("llama-b").trial is not None
    assert settings.priorities == {"technical": ("llama-a", "llama-b"), "general": ("llama-a",)}


def test_comments_quotes_and_order_of_the_file_stay(folders: tuple[Path, Path]) -> None:
    append(*folders)
    added = "  - name: llama-b\n    host: local\n    model: b\n    trial: {share: 0.05}\n"
    wanted = PROVIDERS.replace("\n\n# Best", f"\n{added}\n# Best").replace(
        "technical: [llama-a]", "technical: [llama-a, llama-b]"
    )
    assert text_of(folders[0]) == wanted


def test_undo_gives_the_old_bytes_back_change_by_change(folders: tuple[Path, Path]) -> None:
    config, data = folders
    append(config, data)
    appended = text_of(config)
    editor.set_trial(config, data, "llama-b", None, "promoted")
    assert "trial" not in text_of(config)
    assert "trial of `llama-b`" in editor.undo(config, data)
    assert text_of(config) == appended
    editor.undo(config, data)
    assert text_of(config) == PROVIDERS
    with pytest.raises(ConfigError, match="nothing to undo"):
        editor.undo(config, data)


def test_a_removed_provider_leaves_no_trace(folders: tuple[Path, Path]) -> None:
    append(*folders)
    editor.remove_provider(*folders, "llama-b", "its trial disappointed")
    assert text_of(folders[0]) == PROVIDERS


def test_a_change_that_changes_nothing_is_not_one(folders: tuple[Path, Path]) -> None:
    editor.set_trial(*folders, "llama-a", None, "it is trusted already")
    with pytest.raises(ConfigError, match="nothing to undo"):
        editor.undo(*folders)


def test_undo_does_not_lose_a_hand_edit(folders: tuple[Path, Path]) -> None:
    config, data = folders
    append(config, data)
    edited = text_of(config) + "# my own line\n"
    (config / "providers.yaml").write_text(edited)
    with pytest.raises(ConfigError, match=r"edited by hand.*remove `llama-b` by hand, or copy"):
        editor.undo(config, data)
    assert text_of(config) == edited


def test_another_config_folder_has_its_own_history(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    append(*folders)
    other = tmp_path / "other"
    other.mkdir()
    (other / "providers.yaml").write_text(PROVIDERS)
    (other / "categories.yaml").write_text(CATEGORIES)
    with pytest.raises(ConfigError, match="nothing to undo"):
        editor.undo(other, folders[1])


def test_a_result_that_is_not_valid_is_never_written(folders: tuple[Path, Path]) -> None:
    config, data = folders
    with pytest.raises(ConfigError, match="nothing was changed") as caught:
        editor.append_provider(config, data, ENTRY | {"host": "nowhere"}, {}, "")
    assert f"{config}/providers.yaml" in str(caught.value)
    assert text_of(config) == PROVIDERS
    with pytest.raises(ConfigError, match="nothing to undo"):
        editor.undo(config, data)


def test_removing_a_provider_that_is_needed_is_refused(folders: tuple[Path, Path]) -> None:
    with pytest.raises(ConfigError):
        editor.remove_provider(*folders, "llama-a", "")
    with pytest.raises(NotFoundError, match="no provider `nobody`"):
        editor.remove_provider(*folders, "nobody", "")
    assert text_of(folders[0]) == PROVIDERS


def test_an_alias_that_an_edit_would_change_elsewhere_is_refused(
    folders: tuple[Path, Path],
) -> None:
    config, data = folders
    aliased = PROVIDERS.replace("technical: [llama-a]", "technical: &all [llama-a]").replace(
        "general: [llama-a]", "general: *all"
    )
    (config / "providers.yaml").write_text(aliased)
    with pytest.raises(ConfigError, match="alias"):
        append(config, data)
    assert text_of(config) == aliased


def test_a_symbolic_link_is_refused_in_one_sentence(folders: tuple[Path, Path]) -> None:
    config, data = folders
    real = config.parent / "real.yaml"
    (config / "providers.yaml").rename(real)
    (config / "providers.yaml").symlink_to(real)
    with pytest.raises(ConfigError, match=r"is a symbolic link to .*real\.yaml"):
        append(config, data)


def test_a_read_only_file_is_refused_in_one_sentence(folders: tuple[Path, Path]) -> None:
    config, data = folders
    (config / "providers.yaml").chmod(0o444)
    with pytest.raises(ConfigError, match="is read-only: `chmod"):
        append(config, data)


def test_the_mode_of_the_file_stays(folders: tuple[Path, Path]) -> None:
    (folders[0] / "providers.yaml").chmod(0o640)
    append(*folders)
    assert (folders[0] / "providers.yaml").stat().st_mode & 0o777 == 0o640


def test_a_read_only_configuration_is_served_and_refuses_edits_in_one_sentence(
    folders: tuple[Path, Path],
) -> None:
    config, data = folders
    config.chmod(0o555)
    try:
        assert load(config, data, environ={}, dotenv=None).providers
        for edit in (append, editor.undo):
            with pytest.raises(ConfigError, match="is read-only here") as refused:
                edit(config, data)
            assert "\n" not in str(refused.value)
    finally:
        config.chmod(0o755)
    assert files_in(config) == ["categories.yaml", "providers.yaml"]


def test_any_replica_takes_back_what_another_did(folders: tuple[Path, Path]) -> None:
    config, data = folders
    append(config, data)
    elsewhere = config.with_name("mounted")
    elsewhere.symlink_to(config)
    assert "addition of `llama-b`" in editor.undo(elsewhere, data.with_name("other-data"))
    assert text_of(config) == PROVIDERS


def test_a_second_writer_of_the_same_provider_is_refused(folders: tuple[Path, Path]) -> None:
    config, data = folders
    append(config, data)
    appended = text_of(config)
    with pytest.raises(AlreadyThereError, match="another process appended it meanwhile"):
        append(config, data.with_name("other-data"))
    assert text_of(config) == appended


def test_a_second_writer_is_asked_to_wait(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, data = folders
    monkeypatch.setattr(writer, "LOCK_WAIT_S", 0.0)
    (config / ".changes").mkdir()
    with (
        FileLock(config / ".changes" / "providers.lock"),
        pytest.raises(ConfigError, match="another process"),
    ):
        append(config, data)


def test_a_hand_edit_in_the_middle_of_a_change_wins(folders: tuple[Path, Path]) -> None:
    config, data = folders
    mine = PROVIDERS + "# saved in an editor just now\n"

    def save(step: str) -> None:
        if step == "written":
            (config / "providers.yaml").write_text(mine)

    with pytest.raises(ConfigError, match="was edited meanwhile"):
        editor.append_provider(config, data, ENTRY, {"technical": None}, "", step=save)
    assert text_of(config) == mine
    assert files_in(config) == ["categories.yaml", "providers.yaml"]


KILLED = """\
import os, signal, sys
from pathlib import Path
from config import editor, writer
config, data, verb, at = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
def step(name):
    if name == at:
        os.kill(os.getpid(), signal.SIGKILL)
if verb == "undo":
    editor.undo(config, data, step=step)
else:
    entry = {"name": "llama-b", "host": "local", "model": "b", "trial": {"share": 0.05}}
    editor.append_provider(config, data, entry, {"technical": None}, "", step=step)
"""


def killed(folders: tuple[Path, Path], verb: str, at: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, *map(str, folders), verb, at], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("at", STEPS)
def test_killed_at_any_step_the_file_is_the_old_or_the_new_one(
    folders: tuple[Path, Path], at: str
) -> None:
    config, data = folders
    killed(folders, "append", at)
    happened = at in ("replaced", "synced")
    names = [p["name"] for p in plain(text_of(config))["providers"]]
    assert names == (["llama-a", "llama-b"] if happened else ["llama-a"])
    assert happened or text_of(config) == PROVIDERS
    if happened:
        editor.undo(config, data)
    else:
        with pytest.raises(ConfigError, match="nothing to undo"):
            editor.undo(config, data)
    append(config, data)  # nothing that was left behind is in the way
    editor.undo(config, data)
    assert text_of(config) == PROVIDERS
    assert files_in(config) == ["categories.yaml", "providers.yaml"]


@pytest.mark.parametrize("at", ["locked", "validated", "written", "replaced", "synced", "noted"])
def test_killed_at_any_step_of_an_undo_the_file_is_the_old_or_the_new_one(
    folders: tuple[Path, Path], at: str
) -> None:
    config, data = folders
    append(config, data)
    appended = text_of(config)
    killed(folders, "undo", at)
    undone = at in ("replaced", "synced", "noted")
    assert text_of(config) == (PROVIDERS if undone else appended)
    if not undone:
        editor.undo(config, data)
    assert text_of(config) == PROVIDERS


BLOCK = """\
priorities:
  technical:
    - llama-a   # the usual
    - llama-b
  general: [llama-a, llama-b]
"""


def with_two(config: Path) -> None:
    text = PROVIDERS.replace(
        "    model: 'a'        # quoted on purpose\n",
        "    model: 'a'        # quoted on purpose\n  - {name: llama-b, host: local, model: b}\n",
    )
    start, end = text.index("priorities:"), text.index("fallback:")
    (config / "providers.yaml").write_text(text[:start] + BLOCK + text[end:])


@pytest.mark.parametrize("category", ["technical", "general"])
def test_an_order_is_set_item_by_item_and_taken_back(folders, category: str):
    with_two(folders[0])
    before = text_of(folders[0])
    wanted = editor.Assignment(("priorities",), category, ["llama-b", "llama-a"])
    editor.make(*folders, wanted, "b is steadier")
    assert load(*folders).priorities[category] == ("llama-b", "llama-a")
    assert "# Best first." in before or "# Hosts first." in text_of(folders[0])
    assert "the change of `priorities." in editor.undo(*folders)
    assert text_of(folders[0]) == before


def test_a_value_of_a_section_that_was_not_there_is_set(folders):
    one = editor.Assignment(("limits",), "ttft_s", 1.5)
    assert "+limits: {ttft_s: 1.5}" in editor.difference(*folders, one)
    assert "limits" not in text_of(folders[0])
    editor.make(*folders, one, "quicker")
    assert load(*folders).limits.ttft_s == 1.5


def test_a_difference_of_what_is_not_valid_is_refused(folders):
    one = editor.Assignment(("limits",), "ttft_s", -1)
    with pytest.raises(ConfigError, match="nothing was changed"):
        editor.difference(*folders, one)
