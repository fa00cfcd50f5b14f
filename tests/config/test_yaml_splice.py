"""What an edit does not name stays byte for byte; what it names is what YAML then says."""

from __future__ import annotations

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from config.yaml_splice import insert_item, plain, remove_item, set_key

TEXT = """\
# the head
providers:   # who
  - name: a
    cost: {input: 1,
       output: 2}      # two lines
    instructions: |
      hello
      # no comment, but text

  # about b
  - name: "b"
    host:     x        # aligned by hand

# best first
priorities:
  technical: [a, b]    # flow
  creative:
  - a
  - b   # last
  # more to come
  general: [
    a,  # one
    b,  # two
  ]
  empty: []
"""
CATEGORIES = ("technical", "creative", "general", "empty")


def with_new() -> str:
    entry = {"name": "new", "model": "x: y #", "cost": {"input": 0.5, "output": 1}}
    text = insert_item(TEXT, ("providers",), entry)
    for category in CATEGORIES:
        text = insert_item(text, ("priorities", category), "new")
    return text


def test_an_appended_provider_stands_before_the_comment_of_the_next_section() -> None:
    wanted = """\
    host:     x        # aligned by hand
  - name: new
    model: "x: y #"
    cost: {input: 0.5, output: 1}

# best first
"""
    assert wanted in with_new().replace("# aligned by hand\n\n", "# aligned by hand\n")


def test_an_appended_provider_keeps_the_distance_that_the_others_keep() -> None:
    spaced = "providers:\n  - name: a\n\n  - name: b\n\npriorities: {}\n"
    assert insert_item(spaced, ("providers",), {"name": "c"}) == (
        "providers:\n  - name: a\n\n  - name: b\n\n  - name: c\n\npriorities: {}\n"
    )


def test_every_shape_of_list_is_extended_at_its_end() -> None:
    after = plain(with_new())["priorities"]
    before = plain(TEXT)["priorities"]
    assert after == {category: [*before[category], "new"] for category in CATEGORIES}


def test_an_item_can_be_put_at_any_place() -> None:
    for category in ("technical", "creative", "general"):
        for index in range(3):
            text = insert_item(TEXT, ("priorities", category), "new", index)
            assert plain(text)["priorities"][category].index("new") == index


def test_taking_out_what_was_put_in_gives_the_same_bytes() -> None:
    text = with_new()
    for category in CATEGORIES:
        index = plain(text)["priorities"][category].index("new")
        text = remove_item(text, ("priorities", category), index)
    assert remove_item(text, ("providers",), 2) == TEXT


def test_a_key_is_set_changed_and_taken_away() -> None:
    text = set_key(TEXT, ("providers", 1), "trial", {"share": 0.05})
    assert plain(text)["providers"][1]["trial"] == {"share": 0.05}
    text = set_key(text, ("providers", 1), "trial", {"share": 0.02})
    assert plain(text)["providers"][1]["trial"] == {"share": 0.02}
    assert set_key(text, ("providers", 1), "trial", None) == TEXT


def test_windows_line_ends_stay() -> None:
    text = insert_item(TEXT.replace("\n", "\r\n"), ("providers",), {"name": "new", "host": "x"})
    assert text.count("\n") == text.count("\r\n") == TEXT.count("\n") + 2


def test_a_last_line_without_newline_is_no_trap() -> None:
    text = insert_item("providers:\n- name: a", ("providers",), {"name": "b"})
    assert plain(text) == {"providers": [{"name": "a"}, {"name": "b"}]}


words = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\ufeff"
    ),
    max_size=20,
)
entries = st.dictionaries(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.recursive(
        words | st.integers(-9, 9) | st.booleans() | st.none() | st.sampled_from([0.5, 1e-7]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
        max_leaves=6,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(entry=entries)
def test_any_entry_reads_back_as_it_was_written(entry: dict[str, object]) -> None:
    text = insert_item(TEXT, ("providers",), entry)
    assert plain(text)["providers"][2] == entry
    assert yaml.safe_load(text)["providers"][2] == entry
    assert remove_item(text, ("providers",), 2) == TEXT
