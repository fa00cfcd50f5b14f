"""The events of a candidate's trial, from choice to decision: as JSON, and as sentences."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from discovery.entry import Entry
from discovery.identity import clean


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


def render_event(event: TrialEvent) -> str:
    """The event as a sentence, or its type if the search does not define it."""
    return clean(_sentence(event), 400)


def _sentence(event: TrialEvent) -> str:
    if event["type"] == "chosen":
        return f"trying {event['name']} at {event['host']} ({event['model']})"
    if event["type"] == "there":
        return (
            f"{event['provider']} is already in the configuration: this search or another one"
            " appended it meanwhile, and nothing was changed"
        )
    if event["type"] == "question":
        return f"{event['name']}: " + " ".join(event["questions"])
    if event["type"] == "downloading":
        return _downloading(event)
    if event["type"] == "downloaded":
        return f"downloaded and checked: {event['file']} (sha256 {event['sha256'][:12]}…)"
    if event["type"] == "smoke":
        return _smoke(event)
    if event["type"] == "incumbent":
        name, error = event["provider"], event["error"]
        return f"{name} does not answer, so the next one is compared: {error}"
    if event["type"] == "probe":
        return _probe(event)
    if event["type"] == "decided":
        return _decided(event)
    if event["type"] == "appended":
        return _appended(event)
    if event["type"] == "refused":
        return f"not appended: {event['reason']}"
    return str(event["type"])


def _downloading(event: Downloading) -> str:
    done, total = event["done"], event["total"]
    return f"downloading: {100 * done // total}% of {total / 1e6:,.0f} MB"


def _smoke(event: Smoke) -> str:
    if not event["ok"]:
        return f"it does not answer: {event['error']}"
    return f"it answers, first token after {event['ttft_ms']:,.0f} ms"


def _probe(event: Probe) -> str:
    tried, incumbent = event["tried"], event["incumbent"]
    scores = f"{tried['score']:.2f} against {incumbent['score']:.2f}"
    bounds = f"{event['difference']:+.2f} ({event['lower']:+.2f} to {event['upper']:+.2f})"
    failed = f"; {tried['error']}" if tried["error"] else ""
    place = f"probe {event['number']:>2}/{event['of']}"
    return f"{place} {event['id']}: {scores}, difference so far {bounds}{failed}"


def _decided(event: Decided) -> str:
    cost = "an unknown cost" if event["cost_usd"] is None else f"${event['cost_usd']:.4f}"
    kind = " (a simulation)" if event["simulated"] else ""
    reason, probes = event["reason"], event["probes"]
    return f"{event['outcome']}{kind} after {probes} probes and {cost}: {reason}"


def _appended(event: Appended) -> str:
    share = f"{event['share']:.0%} of the traffic of {event['category']}"
    return f"appended as {event['provider']} to {event['file']}, on trial with {share}"
