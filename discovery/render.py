"""A search's result as text for the command line."""

from __future__ import annotations

from collections.abc import Sequence

from discovery.candidates import Candidate
from discovery.identity import clean
from discovery.result import SearchResult
from discovery.scoring import blended_usd, human_count

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
    """The best candidates with each term of their scores, then what the sources said."""
    if not result.candidates:
        lines = [f"No LLaMA was found for {result.category}."]
    else:
        lines = [f"LLaMA models for {result.category}, the most promising first", "", _row(_HEAD)]
        for place, candidate in enumerate(result.candidates[:shown], 1):
            lines += _candidate(place, candidate, result)
        if (more := len(result.candidates) - shown) > 0:
            lines.append(f"and {more} more")
    best = result.best()
    if best is not None:
        lines += [
            "",
            f"The first to try is {best.name}: --apply tries it and appends it if it passes.",
        ]
    elif result.candidates:
        lines += ["", "None of them can be tried: no enabled host serves one that is new."]
    lines += ["", *_sources(result)]
    return "\n".join(lines)


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
    lines = [row, f"     {terms}", f"     {_where(candidate, result)}; {candidate.family}"]
    notes = [*candidate.flags, *([candidate.note] if candidate.note else [])]
    if refused := result.refused.get(candidate.key):
        notes.insert(0, f"refused lately: {refused}")
    return [*lines, *(f"     ! {clean(note, 200)}" for note in notes)]


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
        words.append(f"no enabled host serves it; said to be at {', '.join(candidate.places)}")
    elif not candidate.configured:
        words.append("no enabled host serves it")
    return "; ".join(words)


def _sources(result: SearchResult) -> list[str]:
    lines = ["Asked: " + ", ".join(f"{name} ({count})" for name, count in result.asked.items())]
    lines += [f"! {problem}" for problem in result.problems]
    if result.cached_at is not None:
        lines.append(f"Remembered from {_age(result.now - result.cached_at)} ago.")
    lines.append(
        "Terms: weight × value; ? is unknown and counts as 0.5. USD/M: per million tokens, three"
        " read for one written."
    )
    return lines


def _age(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
