"""The dated catalogue of LLaMA models: the source of `--search` that needs no network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from config.checks import duplicate_keys
from config.hosts import Cost, Model
from config.mistakes import Mistake, refuse, validate
from config.yaml_file import YamlFile

CATALOGUE_FILE = "catalogue.yaml"
Released = Annotated[str, Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")]


class CatalogueEntry(Model):
    """A model as its makers and hosts describe it."""

    name: str
    family: str
    released: Released
    """`2024-12-06`, or `2024-12` if the day is not known."""
    parameters_b: float = Field(gt=0)
    """Billions of parameters, including all experts."""
    active_b: float | None = Field(default=None, gt=0)
    """For mixtures of experts: billions of parameters used for each token."""
    context: int = Field(gt=0)
    """Tokens, as stated by the makers; a host may offer fewer."""
    licence: str
    commercial: bool
    thinks: Literal["always", "asked"] | None = None
    """Whether the model can reason before it answers, always or on request."""
    specialities: tuple[str, ...] = ()
    """Categories the makers recommend it for; shown to people, never scored."""
    ids: dict[str, str]
    """The model's name at each host of `providers.yaml` that serves it."""
    gone: dict[str, date] = Field(default_factory=dict)
    """Hosts that used to serve it, each with the day it was first missing from their list."""
    prices: dict[str, Cost] = Field(default_factory=dict)
    note: str | None = None
    sources: tuple[str, ...] = Field(min_length=1)
    """Keys into the catalogue's `sources`."""


class Catalogue(Model):
    """All `entries`, as known on `date`."""

    date: date
    sources: dict[str, str]
    entries: tuple[CatalogueEntry, ...]


def load_catalogue(config_dir: str | Path = "config") -> Catalogue:
    """Read `catalogue.yaml` of a folder; raises ConfigError, as `config.loader.load` does."""
    file = YamlFile(Path(config_dir) / CATALOGUE_FILE)
    catalogue, wrong = validate(file, Catalogue, file.data)
    refuse([*duplicate_keys(file), *wrong])
    assert isinstance(catalogue, Catalogue)
    refuse(_inconsistent(file, catalogue))
    return catalogue


def _inconsistent(file: YamlFile, catalogue: Catalogue) -> Iterator[Mistake]:
    names = Counter(entry.name for entry in catalogue.entries)
    for index, entry in enumerate(catalogue.entries):
        line = file.line(("entries", index))
        if names[entry.name] > 1:
            yield Mistake(file.path, line, f"`{entry.name}` appears twice: keep one of them")
        for host in entry.prices.keys() - entry.ids.keys():
            text = f"`{entry.name}` has a price at `{host}` but no id there: add it under `ids`"
            yield Mistake(file.path, line, text)
        for source in set(entry.sources) - catalogue.sources.keys():
            text = f"`{entry.name}` names the unknown source `{source}`: add it under `sources`"
            yield Mistake(file.path, line, text)
