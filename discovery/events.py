"""The events of a candidate's trial, from choice to decision; each is JSON-serialisable."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from discovery.entry import Entry


class Step(TypedDict):
    """Fields of every event: the candidate and the category."""

    candidate: str
    category: str


class Chosen(Step):
    """This candidate is tried at this host."""

    type: Literal["chosen"]
    name: str
    host: str
    model: str


class Question(Step):
    """A person must first agree to these questions of its licence."""

    type: Literal["question"]
    name: str
    questions: list[str]


class Downloading(Step):
    """The number of bytes of the weights that have arrived."""

    type: Literal["downloading"]
    done: int
    total: int


class Downloaded(Step):
    """The weights are downloaded and verified."""

    type: Literal["downloaded"]
    file: str
    sha256: str


class Answered(TypedDict):
    """The result of a smoke call; the model answers if there is no `error`."""

    ok: bool
    thought: bool
    ttft_ms: float | None
    cost_usd: float | None
    error: str | None


class Smoke(Step, Answered):
    """The candidate's smoke call."""

    type: Literal["smoke"]


class Incumbent(Step, Answered):
    """This provider does not answer, so the next one is compared instead."""

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
    """A probe's answers, and the state of the comparison after them."""

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
    """Both sides have answered a probe."""

    type: Literal["probe"]


class Decided(Step):
    """The verdict (`discovery.trial.Verdict`), with the entry to append if it passed."""

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
    """It was added to the configuration, on trial."""

    type: Literal["appended"]
    provider: str
    share: float
    file: str


class There(Step):
    """It was already in the configuration when it was to be appended."""

    type: Literal["there"]
    provider: str


class Refused(TypedDict):
    """It is not adopted; `candidate` is None if there was none to try."""

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
