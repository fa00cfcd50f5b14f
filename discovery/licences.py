"""What a licence permits a business to do, and its obligations, by its name.

A model derived from LLaMA is under LLaMA's licence as well, whatever its own card says: `combined`
returns what both permit. The groups follow the licences' texts as listed by the hub
(https://huggingface.co/docs/hub/repositories-licenses) and SPDX; a name in none of them must be
read by a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from discovery.identity import key

_OPEN = re.compile(
    r"^(apache[- ]?(licen[sc]e[- ]?)?(version[- ]?)?2(\.0)?|mit(-0)?([- ]licen[sc]e)?"
    r"|bsd([- ]\d[- ]clause.*)?|0bsd"
    r"|isc|(the[- ])?unlicense|cc0([- ]1\.0)?|cc-by-\d\.\d|zlib|bsl-1\.0|wtfpl"
    r"|artistic-2\.0|afl-\d\.\d"
    r"|ecl-2\.0|academic free licen[sc]e.*|ncsa|postgresql|ms-pl|odc-by|pddl|cdla-permissive-\d\.\d"
    r"|openmdw(-1\.\d)?)$"
)
_SHARE_ALIKE = re.compile(
    r"^((gnu[- ])?(a|l)?gpl|gnu (affero |lesser )?general public|gfdl|mpl|mozilla public|cc-by-sa"
    r"|epl|eupl|osl|odbl|cdla-sharing|cecill|eclipse public)"
)
_COMMUNITY = re.compile(
    r"^(meta[- ])?llama[- ]?[2-9](\.\d)?([- ]community.*)?$|^llama$"
    r"|^nvidia[- ]open[- ]model([- ]licen[sc]e.*)?$|^gemma$|^deepseek(-licen[sc]e)?$"
    r"|^(tongyi-)?(qwen|qianwen)(-licen[sc]e.*)?$|^yi-licen[sc]e$|^databricks-open-model.*"
    r"|^jamba-open-model.*|^cc-by-nd-\d\.\d$"
)
_USE_RULES = re.compile(r"openrail|(^|-)rail(-|$)|^gemma$")
"""Licences that permit commercial use and list prohibited uses."""
_NON_COMMERCIAL = re.compile(
    r"(^|[^a-z])nc([^a-z]|$)|non-?\s?commercial|non-?\s?production|research|academic(?! free)"
    r"|^mrl([^a-z]|$)|^mnpl([^a-z]|$)|^apple-amlr|^amlr|^llama[- ]?1([^.\d]|$)|^exaone([^a-z]|$)"
)
_FROM_SCRATCH = re.compile(r"tiny-?llama|open[-_]?llama|smollm|amd-llama|vicuna")
"""Named like LLaMA, but trained without its weights (Vicuna: with those of LLaMA 1)."""
_VERSION = re.compile(r"(?<![a-z])llama-?([2-4](?:\.\d)?)(?![\d.])")
EU = "the European Union"


@dataclass(frozen=True, slots=True)
class Limit:
    """A region or field in which a licence grants no rights."""

    kind: Literal["region", "field"]
    what: str
    said: str
    """A sentence for the person who decides."""

    @property
    def question(self) -> str:
        if self.kind == "region":
            return f"{self.said}. Is neither you nor your company domiciled in {self.what}?"
        return f"{self.said}. Is your use outside of that?"


@dataclass(frozen=True, slots=True)
class Licence:
    """`commercial` is None if the name does not settle it and a person must read the licence."""

    name: str
    commercial: bool | None
    freedom: float
    """1 for an open licence, 0 for one that forbids commercial use."""
    limits: tuple[Limit, ...] = ()
    decided_by: str = ""
    """Of several licences, the one that forbids, or that a person must read."""

    @property
    def flag(self) -> str | None:
        name = self.decided_by or self.name
        if self.commercial is False:
            return f"licence {name} forbids commercial use"
        return None if self.commercial else f"licence {name}: read it before commercial use"


def licence(name: str, commercial: bool | None = None) -> Licence:
    """Classify the identifier that the hub uses (`apache-2.0`, `llama3.3`, `cc-by-nc-4.0`).

    `commercial` is the finding of someone who read it; a name that forbids takes precedence.
    """
    said = name.lower().strip()
    if _NON_COMMERCIAL.search(said) or commercial is False:
        return Licence(name, False, 0.0, (_field(name, "commercial use"),))
    if _USE_RULES.search(said):
        return Licence(name, True, 0.7, (_field(name, "the uses that it lists"),))
    if _OPEN.match(said):
        return Licence(name, True, 1.0)
    if _SHARE_ALIKE.match(said):  # businesses may use it, but what they redistribute must stay open
        return Licence(name, True, 0.9)
    if _COMMUNITY.match(said):  # free below 700 million monthly users, with attribution
        return Licence(name, True, 0.8)
    return Licence(name, commercial, 0.8 if commercial else 0.4)


def base_licence(names: Sequence[str]) -> str | None:
    """The LLaMA licence that applies by lineage (`llama3.3`), or None.

    `names` are its own and its bases' names. `llama` if they do not show the version.
    """
    keys = [key(name) for name in names]
    if any(_FROM_SCRATCH.search(one) for one in keys):
        return None
    versions = [match[1] for one in keys if (match := _VERSION.search(one))]
    if versions:
        return f"llama{max(versions)}"
    return "llama" if any(re.search(r"(?<![a-z])llama", one) for one in keys) else None


def combined(own: str | None, base: str | None, commercial: bool | None, name: str) -> Licence:
    """What a model's own licence and that of its base permit together.

    `name` shows whether it reads images: for those the licences of LLaMA 3.2 and 4 exclude the EU.
    """
    parts = []
    if own:
        parts.append(licence(own, commercial))
    if base and (not own or own.lower() != base) and not (own or "").lower().startswith("llama-1"):
        parts.append(licence(base))
    if not parts:
        return Licence("unknown", None, 0.0)
    limits = [limit for part in parts for limit in part.limits]
    version = next((v for v in (base, (own or "").lower()) if v and v != "llama"), "")
    if version == "llama4" or (version == "llama3.2" and "vision" in name.lower()):
        said = f"The licence {version} grants no rights to those who are domiciled in {EU}"
        limits.append(Limit("region", EU, said))
    strictest = min(parts, key=lambda part: {False: 0, None: 1, True: 2}[part.commercial])
    joined = " + ".join(part.name for part in parts)
    freedom = min(part.freedom for part in parts)
    return Licence(joined, strictest.commercial, freedom, tuple(limits), strictest.name)


def _field(name: str, what: str) -> Limit:
    return Limit("field", what, f"The licence {name} gives no rights for {what}")
