"""What a newcomer may click."""

from pathlib import Path

from config.loader import load
from ui.choices import EXAMPLES, LENGTHS, examples_of

SHIPPED = Path(__file__).parents[2] / "config"


def prompts(config, tmp_path):
    settings = load(config, tmp_path, environ={}, dotenv=None)
    return {g["name"]: g["prompts"] for g in examples_of(settings)["categories"]}


def test_each_shipped_category_has_examples_that_say_something(tmp_path):
    for config in (SHIPPED, SHIPPED / "demo"):
        for shown in prompts(config, tmp_path).values():
            assert len(shown) == EXAMPLES
            assert all(len(text) in LENGTHS and text.isascii() for text in shown)


def test_a_category_in_another_language_still_has_some(settings_for):
    own = {"description": "d", "examples": ["¿Qué?", "¿Cómo estás?", "¿Cuándo?", "¿Por qué no?"]}
    names = ("technical", "creative", "general")
    settings = settings_for(categories=dict.fromkeys(names, own))
    assert len(examples_of(settings)["categories"][0]["prompts"]) == EXAMPLES
