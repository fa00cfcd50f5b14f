"""A step of a trial as one line of text, for the command line and for logs."""

from __future__ import annotations

from discovery.events import (
    Appended,
    Decided,
    Downloading,
    Probe,
    Smoke,
    TrialEvent,
)
from discovery.identity import clean


def render_event(event: TrialEvent) -> str:
    """The event as a sentence, or its type if the search does not define it."""
    return clean(_sentence(event), 400)


def _sentence(event: TrialEvent) -> str:
    if event["type"] == "chosen":
        return f"trying {event['name']} at {event['host']} ({event['model']})"
    if event["type"] == "there":
        return (
            f"{event['provider']} is in the configuration already: it was appended meanwhile, by"
            " this search or by another, and nothing was changed"
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
