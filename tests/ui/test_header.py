"""What is said before anything else."""

from graph.router import Router
from ui.page import header


def titles(settings):
    return [notice["title"] for notice in header(Router(settings))["notices"]]


def providers_at(host, **more):
    return [{"name": name, "host": host, "model": "m", **more} for name in ("first", "second")]


def test_simulation_is_said_in_words(settings_for):
    providers = [*providers_at("stage"), {"name": "cheap", "host": "stage", "model": "m"}]
    settings = settings_for(hosts={"stage": {"kind": "simulated"}}, providers=providers)
    assert titles(settings) == ["Simulation."]


def test_the_embedded_llama_is_called_demo_quality(settings_for):
    providers = [*providers_at("here"), {"name": "cheap", "host": "here", "model": "m"}]
    settings = settings_for(hosts={"here": {"kind": "llama_cpp"}}, providers=providers)
    assert titles(settings) == ["Demo quality."]


def test_a_real_model_needs_no_excuse(settings_for):
    assert titles(settings_for()) == []
