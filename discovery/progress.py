"""One step of a trial as a line, for the command line and for logs."""

from __future__ import annotations

from collections.abc import Callable

from discovery.identity import clean
from discovery.trial import Event


def render_event(event: Event) -> str:
    """What happened, in a sentence; the event's type where it is none of the search's."""
    tell = _TELL.get(event["type"])
    return clean(tell(event) if tell else str(event["type"]), 400)


def _chosen(event: Event) -> str:
    return f"trying {event['name']} at {event['host']} ({event['model']})"


def _downloading(event: Event) -> str:
    done, total = event["done"], event["total"]
    return f"downloading: {100 * done // total}% of {total / 1e6:,.0f} MB"


def _downloaded(event: Event) -> str:
    return f"downloaded and checked: {event['file']} (sha256 {event['sha256'][:12]}…)"


def _smoke(event: Event) -> str:
    if not event["ok"]:
        return f"it does not answer: {event['error']}"
    return f"it answers, first token after {event['ttft_ms']:,.0f} ms"


def _incumbent(event: Event) -> str:
    return f"{event['provider']} does not answer, so the next one is compared: {event['error']}"


def _question(event: Event) -> str:
    return f"{event['name']}: " + " ".join(event["questions"])


def _probe(event: Event) -> str:
    tried, incumbent = event["tried"], event["incumbent"]
    scores = f"{tried['score']:.2f} against {incumbent['score']:.2f}"
    bounds = f"{event['difference']:+.2f} ({event['lower']:+.2f} to {event['upper']:+.2f})"
    failed = f"; {tried['error']}" if tried["error"] else ""
    place = f"probe {event['number']:>2}/{event['of']}"
    return f"{place} {event['id']}: {scores}, difference so far {bounds}{failed}"


def _decided(event: Event) -> str:
    cost = "an unknown cost" if event["cost_usd"] is None else f"${event['cost_usd']:.4f}"
    kind = " (a simulation)" if event["simulated"] else ""
    reason, probes = event["reason"], event["probes"]
    return f"{event['outcome']}{kind} after {probes} probes and {cost}: {reason}"


def _appended(event: Event) -> str:
    share = f"{event['share']:.0%} of the traffic of {event['category']}"
    return f"appended as {event['provider']} to {event['file']}, on trial with {share}"


def _refused(event: Event) -> str:
    return f"not appended: {event['reason']}"


_TELL: dict[str, Callable[[Event], str]] = {
    "chosen": _chosen,
    "downloading": _downloading,
    "downloaded": _downloaded,
    "smoke": _smoke,
    "incumbent": _incumbent,
    "question": _question,
    "probe": _probe,
    "decided": _decided,
    "appended": _appended,
    "refused": _refused,
}
