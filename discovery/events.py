"""The events of a candidate's trial, from the choice to the decision; each is JSON as it stands."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from discovery.entry import Entry


class Step(TypedDict):
    """What every event says: which candidate, for which category."""

    candidate: str
    category: str


class Chosen(Step):
    """This one is tried, there."""

    type: Literal["chosen"]
    name: str
    host: str
    model: str


class Question(Step):
    """A person must answer these questions of its licence first."""

    type: Literal["question"]
    name: str
    questions: list[str]


class Downloading(Step):
    """So many bytes of the weights are here."""

    type: Literal["downloading"]
    done: int
    total: int


class Downloaded(Step):
    """The weights are here and checked."""

    type: Literal["downloaded"]
    file: str
    sha256: str


class Answered(TypedDict):
    """What a smoke call came to; without an `error` it answers."""

    ok: bool
    thought: bool
    ttft_ms: float | None
    cost_usd: float | None
    error: str | None


class Smoke(Step, Answered):
    """The candidate's smoke call."""

    type: Literal["smoke"]


class Incumbent(Step, Answered):
    """This provider does not answer, so the next one is compared."""

    type: Literal["incumbent"]
    provider: str


class Side(TypedDict):
    """One side's answer to a probe."""

    score: float
    thought: bool
    ttft_ms: float | None
    latency_ms: float
    cost_usd: float | None
    error: str | None


class Figures(TypedDict):
    """A probe's answers, and what the comparison stands at with them."""

    number: int
    of: int
    id: str
    tried: Side
    incumbent: Side
    difference: float
    lower: float
    upper: float
    cost_usd: float | None


class Probe(Step, Figures):
    """A probe was answered by both sides."""

    type: Literal["probe"]


class Decided(Step):
    """The verdict (`discovery.trial.Verdict`), with the entry to append where it may be."""

    type: Literal["decided"]
    outcome: str
    reason: str
    probes: int
    difference: float
    lower: float
    upper: float
    alpha: float
    candidate_score: float | None
    incumbent_score: float | None
    ttft_ms: float | None
    cost_usd: float | None
    simulated: bool
    entry: Entry | None


class Appended(Step):
    """It is in the configuration now, on trial."""

    type: Literal["appended"]
    provider: str
    share: float
    file: str


class There(Step):
    """It was in the configuration already when it was to be appended."""

    type: Literal["there"]
    provider: str


class Refused(TypedDict):
    """It is not taken in; `candidate` None: there was none to try."""

    type: Literal["refused"]
    candidate: str | None
    category: str
    name: NotRequired[str]
    reason: str
    outcome: str


TrialEvent = (
    Chosen
    | Question
    | Downloading
    | Downloaded
    | Smoke
    | Incumbent
    | Probe
    | Decided
    | Appended
    | There
    | Refused
)
