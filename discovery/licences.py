"""What a licence's name lets a business do."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPEN = re.compile(r"^(apache-2\.0|mit|bsd(-[23]-clause)?|isc|unlicense|cc0-1\.0|cc-by-4\.0)$")
_COMMUNITY = re.compile(r"^llama[- ]?[2-9](\.\d)?([- ]community.*)?$")
_NON_COMMERCIAL = re.compile(r"(^|[^a-z])nc([^a-z]|$)|non-?\s?commercial|research|academic")


@dataclass(frozen=True, slots=True)
class Licence:
    """`commercial` is None where the name does not tell: somebody must read it."""

    name: str
    commercial: bool | None
    freedom: float
    """1 for an open licence, 0 for one that forbids commercial use."""

    @property
    def flag(self) -> str | None:
        if self.commercial is False:
            return f"licence {self.name} forbids commercial use"
        return None if self.commercial else f"licence {self.name}: read it before commercial use"


def licence(name: str, commercial: bool | None = None) -> Licence:
    """Judge by the identifier that the hub uses (`apache-2.0`, `llama3.3`, `cc-by-nc-4.0`).

    `commercial` is what somebody who read it says; a name that forbids wins over that.
    """
    said = name.lower().strip()
    if _NON_COMMERCIAL.search(said) or commercial is False:
        return Licence(name, False, 0.0)
    if _OPEN.match(said):
        return Licence(name, True, 1.0)
    if _COMMUNITY.match(said):  # free below 700 million monthly users, with attribution
        return Licence(name, True, 0.8)
    return Licence(name, commercial, 0.8 if commercial else 0.4)
