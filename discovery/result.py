"""The result of a search, and how the command line shows it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from config.hosts import Model
from discovery.candidates import Candidate
from discovery.identity import clean
from discovery.quality import Shown
from discovery.scoring import blended_usd, human_count


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The candidates for a category, best first, and how they were found."""

    category: str
    candidates: tuple[Candidate, ...]
    asked: Mapping[str, int]
    """How many models each source named."""
    problems: tuple[str, ...]
    """A sentence for each source that failed."""
    cached_at: float | None
    """Unix time of the oldest cached answer; None: all were asked anew."""
    now: float
    embedded_host: str | None = None
    """The host that can load weights on this machine, if it is enabled."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why candidates (by key) were recently refused."""

    def servable(self, candidate: Candidate) -> bool:
        """Whether a host lists it, or this machine could load it."""
        return bool(candidate.offers or (candidate.weights and self.embedded_host))

    def best(self, passed_over: Collection[str] = ()) -> Candidate | None:
        """The first candidate to try without approval: new, servable, free for commercial use.

        `passed_over` are keys of candidates whose licence was not agreed to.
        """
        return next(
            (
                c
                for c in self.candidates
                if self.servable(c)
                and not c.configured
                and c.key not in self.refused
                and c.key not in passed_over
                and not c.non_commercial
            ),
            None,
        )

    def find(self, name: str) -> Candidate | None:
        """The candidate that a person names: by key, name, or its id at a host."""
        wanted = name.lower()
        for c in self.candidates:
            names = {c.key, c.name, c.evidence.name, *(offer.model for offer in c.offers)}
            if wanted in {n.lower() for n in names}:
                return c
        return None


SHOWN = 12
_HEAD = (
    ("#", 3),
    ("model", 34),
    ("score", 5),
    ("size", 6),
    ("released", 10),
    ("context", 7),
    ("USD/M", 7),
    ("downloads", 9),
    ("licence", 14),
)


def render_table(result: SearchResult, *, shown: int = SHOWN) -> str:
    """The best candidates with each term of their scores, then what the sources reported.

    Models that no host serves are listed separately, below the others.
    """
    served = [c for c in result.candidates if c.served]
    apart = [c for c in result.candidates if not c.served]
    lines = [f"No LLaMA was found for {result.category}."] if not result.candidates else []
    if served:
        lines += [f"LLaMA models for {result.category}, the most promising first", "", _row(_HEAD)]
        lines += _ranked(served, result, shown)
    if apart:
        lines += ["", "Known, but with no known host", "", _row(_HEAD)]
        lines += _ranked(apart, result, shown // 3)
    best = result.best()
    if best is not None:
        lines += [
            "",
            f"The first to try is {best.name}: --apply tries it and appends it if it passes.",
            *(f"! asked first: {limit.question}" for limit in best.limits),
        ]
    elif result.candidates:
        lines += ["", "None of them can be tried: no enabled host serves one that is new."]
    lines += ["", *_sources(result, [*served[:shown], *apart[: shown // 3]])]
    return "\n".join(lines)


def as_json(result: SearchResult) -> dict[str, object]:
    """The whole result as plain values; dates as ISO 8601."""
    whole: dict[str, object] = json.loads(json.dumps(asdict(result), default=_plain))
    best = result.best()
    return whole | {"best": best.key if best else None}


def _plain(value: object) -> object:
    if isinstance(value, Model):
        return value.model_dump(mode="json", exclude_none=True)
    return str(value)


def _ranked(candidates: Sequence[Candidate], result: SearchResult, shown: int) -> list[str]:
    lines = []
    for place, candidate in enumerate(candidates[:shown], 1):
        lines += _candidate(place, candidate, result)
    more = len(candidates) - shown
    return [*lines, f"and {more} more"] if more > 0 else lines


def _row(cells: Sequence[tuple[str, int]]) -> str:
    return "  ".join(_cell(text, width) for text, width in cells).rstrip()


def _cell(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"


def _candidate(place: int, candidate: Candidate, result: SearchResult) -> list[str]:
    known = candidate.evidence
    texts = (
        str(place),
        candidate.name,
        f"{candidate.score.total:.3f}",
        human_count(known.parameters) if known.parameters else "?",
        known.released.isoformat() if known.released else "?",
        human_count(known.context) if known.context else "?",
        f"{blended_usd(known.cost):.2f}" if known.cost else "?",
        human_count(known.downloads) if known.downloads is not None else "?",
        known.licence or "?",
    )
    row = _row([(text, width) for text, (_, width) in zip(texts, _HEAD, strict=True)])
    terms = " + ".join(
        f"{t.name} {t.weight:.2f}×{t.value:.2f}{'' if t.known else '?'}"
        for t in candidate.score.terms
    )
    lines = [row, f"     {terms}", *_evidence(candidate)]
    lines.append(f"     {_where(candidate, result)}; {candidate.family}")
    notes = [*candidate.flags, *([candidate.note] if candidate.note else [])]
    if refused := result.refused.get(candidate.key):
        notes.insert(0, f"refused lately: {refused}")
    return [*lines, *(f"     ! {clean(note, 200)}" for note in notes)]


def _evidence(candidate: Candidate) -> list[str]:
    """What each term is based on: figure, date, source."""
    quality = candidate.quality
    if quality is None:
        lines = ["quality: no figure, and no measured model to estimate it from"]
    elif quality.measured:
        lines = [f"quality {quality.value:.2f}: {'; '.join(map(_figure, quality.figures))}"]
    else:
        lines = [f"quality {quality.value:.2f}?: {quality.said}; no figure of its own"]
    said = {t.name: t.said for t in candidate.score.terms if t.name != "quality"}
    known = ", ".join(f"{name} {text}" for name, text in said.items() if text != "unknown")
    dated = f" of {candidate.as_of}" if candidate.as_of else ""
    lines.append(f"{known} [{', '.join(candidate.sources)}{dated}]")
    return [f"     {line}" for line in lines]


def _figure(figure: Shown) -> str:
    error = f"±{figure.error:g}" if figure.error else ""
    return f"{figure.title} {figure.value:g}{error} ({figure.date})"


def _where(candidate: Candidate, result: SearchResult) -> str:
    words = [f"already configured as {', '.join(candidate.configured)}"]
    words = words if candidate.configured else []
    if candidate.offers:
        words.append("served by " + ", ".join(f"{o.host} ({o.model})" for o in candidate.offers))
    elif candidate.weights and result.embedded_host:
        best = candidate.weights[0]
        size = f"{human_count(best.size)}B"
        words.append(f"this machine can serve it: {best.repository}, {best.file}, {size}")
    elif candidate.places:
        words.append(f"no enabled host serves it; reported at {', '.join(candidate.places)}")
    elif not candidate.configured:
        words.append("no enabled host serves it")
    return "; ".join(words)


def _sources(result: SearchResult, shown: Sequence[Candidate]) -> list[str]:
    lines = ["Asked: " + ", ".join(f"{name} ({count})" for name, count in result.asked.items())]
    lines += [f"! {problem}" for problem in result.problems]
    if result.cached_at is not None:
        lines.append(f"Cached {_age(result.now - result.cached_at)} ago.")
    figures = [f for c in shown if c.quality for f in c.quality.figures]
    lines += [f"{title}: {url}" for title, url in {f.title: f.source for f in figures}.items()]
    lines.append(
        "Terms: weight × value; ? is unknown and counts as 0, or an estimate. USD/M: per million"
        " tokens, three read for one written."
    )
    return lines


def _age(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
