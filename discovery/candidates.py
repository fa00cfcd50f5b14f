"""Joins what the sources found: one candidate for each model, whatever names it goes by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from config.evidence import Evidence as PublicEvidence
from config.evidence import Figure, load_evidence, weights_for
from config.hosts import Cost
from config.models import Settings
from discovery.identity import family, key, parameters, tuned
from discovery.licences import Licence, Limit, base_licence, combined
from discovery.quality import Quality, Subject, judge
from discovery.scoring import Evidence, Score, blended_usd, score
from discovery.sources.arena import newest
from discovery.sources.source import Answer, Found, Gguf

T = TypeVar("T")
_TRUST = ("catalogue", "hub", "openrouter")
"""The precedence of sources; hosts come last, since they describe their own deployment."""
MAKERS = {
    *("meta-llama", "nvidia", "deepseek-ai", "nousresearch", "allenai", "deepcogito", "sao10k"),
    *("salesforce", "groq", "codellama", "huggingfacetb", "tinyllama", "watt-ai", "team-ace"),
    *("nexusflow", "tokyotech-llm", "cognitivecomputations", "dphn", "swiss-ai"),
}
"""Hub owners whose repositories are originals."""
_REPOSITORIES = {"huggingface"}
"""Hosts whose ids are only repository names, which do not show that a partner serves the model."""


@dataclass(frozen=True, slots=True)
class Offer:
    """An enabled host that lists the model, and its price there."""

    host: str
    model: str
    cost: Cost | None = None
    context: int | None = None
    simulation: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model with everything known about it, and its score for one category."""

    key: str
    name: str
    evidence: Evidence
    score: Score
    family: str
    """The evidence that it is a LLaMA."""
    quality: Quality | None
    """Its quality for the category by public figures, or an estimate."""
    sources: tuple[str, ...]
    offers: tuple[Offer, ...] = ()
    """Where it can be served, cheapest first, without what is already configured."""
    places: tuple[str, ...] = ()
    """Hosts that are said to serve it but are disabled and therefore not asked."""
    weights: tuple[Gguf, ...] = ()
    """Files that the embedded host could load if they fit into memory."""
    configured: tuple[str, ...] = ()
    """Enabled providers that already are this model."""
    served: bool = True
    """Whether this machine or any host, enabled or not, can serve it."""
    non_commercial: bool = False
    limits: tuple[Limit, ...] = ()
    """Regions and fields that its licences exclude; a person must agree before it is adopted."""
    flags: tuple[str, ...] = ()
    """What a person should know before adopting it."""
    note: str | None = None
    as_of: str | None = None
    """The date of the oldest information on it, if not today's."""

    @property
    def questions(self) -> tuple[str, ...]:
        """Its licences' exclusions as questions, which must be agreed to before it is adopted."""
        return tuple(limit.question for limit in self.limits)


def join(
    answers: Iterable[Answer],
    settings: Settings,
    category: str,
    today: date,
    known: PublicEvidence | None = None,
) -> list[Candidate]:
    """The LLaMAs among what was found: those that some host serves first, each group by score.

    `known` is the public evidence; None: that of the configuration's folder.
    """
    known = known or load_evidence(settings.config_dir)
    found = [found for answer in answers for found in answer.found]
    known = known.without_figures(newest(known, found))
    drafts = [draft for group in _groups(found) if (draft := _draft(group, settings, known))]
    subjects = [draft.subject for draft in drafts]
    table = _table(drafts, known)
    qualities = judge(subjects, table, known, weights_for(category, settings.categories, known))
    candidates = [
        _candidate(draft, settings, today, qualities.get(draft.subject.key)) for draft in drafts
    ]
    return sorted(candidates, key=lambda c: (not c.served, -c.score.total, c.key))


@dataclass(frozen=True, slots=True)
class _Draft:
    """One model before it is scored against the others."""

    group: Sequence[Found]
    family: str
    offers: tuple[Offer, ...]
    evidence: Evidence
    figures: dict[str, Figure]

    @property
    def subject(self) -> Subject:
        known = self.evidence
        name = _keys(self.group[0])[0]
        return Subject(name, known.parameters, known.released, known.base_licence)


def _draft(group: Sequence[Found], settings: Settings, known: PublicEvidence) -> _Draft | None:
    group = sorted(group, key=lambda found: (_rank(found.source), -(found.downloads or 0)))
    judged = _llamas([found for found in group if not found.evidence_only])
    if judged is None or not _chats(judged[0]):
        return None
    kept, said = judged
    mine = [p for p in settings.providers if p.disabled is None]
    offers = _offers(kept, {(p.host, p.resolved_model) for p in mine})
    names = {name for found in group for name in _keys(found)}
    figures = {
        n: f for model, row in known.figures.items() if key(model) in names for n, f in row.items()
    }
    for found in group:
        live = {n: f for n, f in found.figures.items() if n in known.benchmarks}
        figures |= {n: f for n, f in live.items() if n not in figures}
    return _Draft(kept, said, offers, _evidence(kept, offers), figures)


def _table(drafts: Sequence[_Draft], known: PublicEvidence) -> dict[str, dict[str, Figure]]:
    """Figures by model, including models that no source found: they calibrate the scale."""
    table = {draft.subject.key: draft.figures for draft in drafts if draft.figures}
    taken = {name for draft in drafts for found in draft.group for name in _keys(found)}
    return {key(m): row for m, row in known.figures.items() if key(m) not in taken and row} | table


def _groups(found: Sequence[Found]) -> list[list[Found]]:
    """Group rows of the same weights: rows that share any name belong together."""
    leader: dict[str, str] = {}

    def lead(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for one in found:
        first, *others = _keys(one)
        for other in others:
            leader[lead(other)] = lead(first)
    groups: dict[str, list[Found]] = {}
    for one in found:
        groups.setdefault(lead(_keys(one)[0]), []).append(one)
    return list(groups.values())


def _keys(found: Found) -> list[str]:
    """A host's short name (`llama-4-scout`) is ignored if the row also has the full one."""
    names = [found.also or found.id, *found.aliases]
    return list(dict.fromkeys(key(name) for name in names))


def _candidate(
    draft: _Draft, settings: Settings, today: date, quality: Quality | None
) -> Candidate:
    group, evidence, offers = draft.group, draft.evidence, draft.offers
    terms = _licence(evidence)
    keys = {name for found in group for name in _keys(found)}
    mine = [p for p in settings.providers if p.disabled is None]
    configured = tuple(p.name for p in mine if key(p.resolved_model) in keys)
    places = tuple(
        name
        for name, host in settings.hosts.items()
        if host.disabled is not None and any(name in found.places for found in group)
    )
    weights = tuple(found.gguf for found in group if found.gguf is not None)
    return Candidate(
        key=draft.subject.key,
        name=next((f.title for f in group if f.title), evidence.name),
        evidence=evidence,
        score=score(evidence, today, quality),
        quality=quality,
        family=draft.family,
        sources=tuple(dict.fromkeys(found.source for found in group)),
        offers=offers,
        places=places,
        weights=weights,
        configured=configured,
        served=bool(offers or weights or configured or set(places) - _REPOSITORIES),
        non_commercial=terms is not None and terms.commercial is False,
        limits=terms.limits if terms else (),
        flags=_flags(terms, group),
        note=_first(group, lambda f: f.note),
        as_of=next((f.as_of for f in group if f.as_of), None),
    )


def _rank(source: str) -> int:
    return _TRUST.index(source) if source in _TRUST else len(_TRUST)


def _llamas(group: Sequence[Found]) -> tuple[list[Found], str] | None:
    """The rows that are this LLaMA, and the evidence that it is one; None if it is not.

    The catalogue and the maker outweigh third parties: then only the row that disagrees is dropped.
    Among third parties the most downloaded original decides, before any copies of it.
    """
    verdicts = {id(f): family(f.also or f.id, f.architecture, f.tags, f.bases) for f in group}
    declared = [f for f in group if f.architecture and verdicts[id(f)].llama is not None]
    judge = min(declared or group, key=lambda f: _authority(f, verdicts[id(f)].llama), default=None)
    if judge is None or verdicts[id(judge)].llama is False:
        return None
    kept = [f for f in group if verdicts[id(f)].llama is not False]
    said = next((verdicts[id(f)] for f in [judge, *kept] if verdicts[id(f)].llama), None)
    return (kept, said.evidence) if said else None


def _authority(found: Found, llama: bool | None) -> tuple[bool, bool, bool, float, bool]:
    maker = found.id.lower().split("/")[0] in MAKERS and "/" in found.id
    copied = found.also is not None and found.also != found.id
    trusted = found.source == "catalogue"
    return not trusted, not maker, copied, -(found.downloads or 0.0), llama is not False


def _chats(group: Sequence[Found]) -> bool:
    """Whether it is a chat model rather than a base model; true of whatever a host serves or a
    source confirms."""
    return any(found.host or found.chat or tuned(found.id) for found in group)


def _first(group: Sequence[Found], pick: Callable[[Found], T | None]) -> T | None:
    return next((value for found in group if (value := pick(found)) is not None), None)


def _offers(group: Sequence[Found], taken: set[tuple[str, str]]) -> tuple[Offer, ...]:
    """The hosts that list it; a model listed twice (Ollama) is one offer."""
    offers: dict[tuple[str, str], Offer] = {}
    for found in group:
        if found.host is None or (found.host, found.id) in taken:
            continue
        same = [f for f in group if (f.host, f.id) == (found.host, found.id)]
        known = (f.prices[found.host] for f in group if found.host in f.prices)
        listed = _first(same, lambda f: f.cost) or next(known, None)
        context = _first(same, lambda f: f.context)
        simulation = _first(same, lambda f: f.simulation)
        offers[found.host, found.id] = Offer(found.host, found.id, listed, context, simulation)
    return tuple(sorted(offers.values(), key=_by_price))


def _by_price(offer: Offer) -> tuple[bool, float, str]:
    return offer.cost is None, blended_usd(offer.cost) if offer.cost else 0.0, offer.host


def _evidence(group: Sequence[Found], offers: Sequence[Offer]) -> Evidence:
    name = max(group, key=lambda f: (f.also is not None, "/" in f.id, f.downloads or 0, f.id))
    released = min((f.released for f in group if f.released), default=None)
    offered = next((offer.cost for offer in offers if offer.cost is not None), None)
    shown = name.also or name.id
    return Evidence(
        name=shown,
        parameters=_first(group, lambda f: f.parameters) or parameters(shown),
        active=_first(group, lambda f: f.active),
        thinks=_first(group, lambda f: f.thinks),
        released=date.fromisoformat(released) if released else None,
        licence=_first(group, lambda f: f.licence),
        base_licence=base_licence(
            [shown, *(base for f in group for base in f.bases), *(f.also for f in group if f.also)]
        ),
        commercial=_first(group, lambda f: f.commercial),
        context=_first(group, lambda f: f.context),
        cost=offered or _first(group, lambda f: f.cost) or _cheapest(group),
        downloads=max((f.downloads for f in group if f.downloads is not None), default=None),
        likes=max((f.likes for f in group if f.likes is not None), default=None),
        tags=tuple(dict.fromkeys(tag for f in group for tag in f.tags))[:40],
    )


def _cheapest(group: Sequence[Found]) -> Cost | None:
    """The lowest price of any host when the catalogue was written."""
    prices = [price for found in group for price in found.prices.values()]
    return min(prices, key=blended_usd, default=None)


def _licence(evidence: Evidence) -> Licence | None:
    """None if no source names a licence."""
    own, base = evidence.licence, evidence.base_licence
    return combined(own, base, evidence.commercial, evidence.name) if own or base else None


def _flags(terms: Licence | None, group: Sequence[Found]) -> tuple[str, ...]:
    flags = [terms.flag] if terms and terms.flag else []
    flags += [limit.said for limit in terms.limits if limit.kind == "region"] if terms else []
    if any(found.gated for found in group):
        flags.append("gated: its licence must be accepted on the hub first")
    if any(found.simulation is not None for found in group):
        flags.append("simulation: no real model answers")
    return tuple(flags)
