"""Turns a candidate into the entry of a provider on trial: downloads it if necessary, and tries
it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from config.hosts import Provider
from config.models import THINK_S, Settings
from config.probe_sets import load_probes
from discovery import download
from discovery.calls import Contender, Journal, Reply, smoke
from discovery.candidates import Candidate
from discovery.download import fetch
from discovery.entry import Deployment, Entry, Evidence, entry_for, fields_for, provider_for
from discovery.events import Answered, Chosen, Decided, Incumbent, Probe, Smoke, Step, TrialEvent
from discovery.result import SearchResult
from discovery.sources.hub_client import HubPlace
from discovery.sources.source import Gguf, SourceError
from discovery.trial import SHARES, Rules, Verdict, compare
from providers.registry import Providers


@dataclass(slots=True)
class Adoption:
    """One candidate for one category: tried, then appended or refused."""

    settings: Settings
    providers: Providers
    result: SearchResult
    candidate: Candidate
    hub: HubPlace
    incumbent: Provider | None = None
    """The provider it was compared with."""
    journal: Journal | None = None

    async def attempt(self) -> AsyncGenerator[TrialEvent]:
        """Download the candidate if necessary and try it; the configuration is not written.

        The last event is `decided`, with the `entry` to append if it passed, or `refused`.
        """
        place: Deployment | None = None
        async with aclosing(self._placed()) as steps:
            async for step in steps:
                if isinstance(step, Deployment):
                    place = step
                else:
                    yield step
        if place is None:
            return
        tried = provider_for(self.candidate, place, self.settings)
        verdict, thinks = Verdict("unusable", "it was not tried"), False
        async with aclosing(self._tried(tried)) as events:
            async for event in events:
                if isinstance(event, Verdict):
                    verdict = event
                else:
                    thinks = thinks or (event["type"] == "smoke" and event["thought"])
                    yield event
        entry = None
        if verdict.outcome in SHARES:
            entry = self._entry(place, verdict, thinks=thinks)
        else:
            await asyncio.to_thread(self._discard, place)
        decided = {"type": "decided", **self._step(), **asdict(verdict), "entry": entry}
        yield cast("Decided", decided)

    async def _placed(self) -> AsyncGenerator[TrialEvent | Deployment]:
        """Where it is served: at the cheapest host, otherwise here, once its weights are
        downloaded."""
        if self.candidate.offers:
            offer = self.candidate.offers[0]
            yield self._chosen(offer.host, offer.model)
            yield Deployment(offer.host, offer.model, offer)
            return
        gguf, host = self.candidate.weights[0], str(self.result.embedded_host)
        yield self._chosen(host, f"{gguf.repository}, {gguf.file}")
        try:
            await asyncio.to_thread(_fits, gguf)
            async with aclosing(fetch(gguf, self.settings.data_dir, self.hub)) as steps:
                async for step in steps:
                    if isinstance(step, Path):
                        yield {
                            "type": "downloaded",
                            **self._step(),
                            "file": str(step),
                            "sha256": gguf.sha256,
                        }
                        yield Deployment(host, str(step))
                    else:
                        yield {
                            "type": "downloading",
                            **self._step(),
                            "done": step.done,
                            "total": step.total,
                        }
        except SourceError as error:
            yield {
                "type": "refused",
                "candidate": self.candidate.key,
                "category": self.category,
                "reason": str(error),
                "outcome": "not tried",
            }

    async def _tried(self, tried: Provider) -> AsyncGenerator[Smoke | Incumbent | Probe | Verdict]:
        """Smoke call and comparison; their connections are closed when the trial ends."""
        ours = self.providers
        known = self.settings.model_copy(update={"providers": (*self.settings.providers, tried)})
        providers = Providers(known, clock=ours.clock, sleep=ours.sleep)
        try:
            thinks = self.candidate.evidence.thinks == "always"
            contender = Contender.of(
                providers.get(tried.name), tried, thinks=thinks, journal=self.journal
            )
            answer = await smoke(contender)
            yield {"type": "smoke", **self._step(), **_summary(answer)}
            if answer.error:
                yield Verdict("unusable", f"it does not answer: {answer.error}")
                return
            async with aclosing(self._compared(contender, tried)) as events:
                async for event in events:
                    yield event
        finally:
            await providers.close()

    async def _compared(
        self, mine: Contender, tried: Provider
    ) -> AsyncGenerator[Incumbent | Probe | Verdict]:
        """Compare it with the first trusted provider that answers."""
        probes = await asyncio.to_thread(load_probes, self.settings.config_dir, self.category)
        trusted = self.trusted()
        if probes is None or not trusted:
            missing = "no probes" if probes is None else "there is no provider to compare it with"
            yield Verdict("undecided", f"the category has {missing}")
            return
        verdict = Verdict("not tried", "")
        for self.incumbent in trusted:
            theirs = Contender.of(
                self.providers.get(self.incumbent.name), self.incumbent, journal=self.journal
            )
            answer = await smoke(theirs)
            if answer.error:
                yield {
                    "type": "incumbent",
                    **self._step(),
                    "provider": self.incumbent.name,
                    **_summary(answer),
                }
                continue
            rules = self._rules(tried, self.incumbent)
            async with aclosing(compare(mine, theirs, probes.probes, rules)) as events:
                async for event in events:
                    if isinstance(event, Verdict):
                        verdict = event
                    else:
                        yield {"type": "probe", **self._step(), **event}
            if verdict.outcome != "not tried":
                yield verdict
                return
        names = ", ".join(provider.name for provider in trusted)
        yield Verdict("not tried", f"none of the providers to compare it with answers: {names}")

    def _rules(self, tried: Provider, incumbent: Provider) -> Rules:
        limits = self.settings.limits_for(self.category)
        kinds = {self.settings.hosts[p.host].kind for p in (tried, incumbent)}
        return Rules(
            ttft_s=limits.ttft_s,
            think_s=THINK_S if limits.think_s is None else limits.think_s,
            abreast=1 if "llama_cpp" in kinds else 4,
        )

    @property
    def category(self) -> str:
        return self.result.category

    def trusted(self) -> list[Provider]:
        """The category's providers in declared order, without those on trial."""
        order = (self.settings.provider(name) for name in self.settings.order(self.category))
        able = (p for p in order if p.trial is None)
        return [p for p in able if self.providers.unavailable(p.name) is None]

    def _entry(self, place: Deployment, verdict: Verdict, *, thinks: bool) -> Entry:
        day = datetime.fromtimestamp(self.result.now, UTC).date().isoformat()
        fields = fields_for(self.candidate, place, self.settings, thinks=thinks)
        return entry_for(fields, day, self._evidence(verdict), SHARES[verdict.outcome])

    def _discard(self, place: Deployment) -> None:
        """Delete weights that were downloaded and refused, unless a provider uses them."""
        used = {provider.resolved_model for provider in self.settings.providers}
        if place.offer is None and place.model not in used:
            Path(place.model).unlink(missing_ok=True)

    def _evidence(self, verdict: Verdict) -> Evidence:
        """What explains to a reader of the entry why it was added."""
        known, incumbent = self.candidate.evidence, self.incumbent
        local = not self.candidate.offers
        facts: dict[str, object] = {
            "category": self.category,
            "score": round(self.candidate.score.total, 3),
            "sources": list(self.candidate.sources),
            "weights": _origin(self.candidate.weights[0]) if local else None,
            "licence": known.licence,
            "released": known.released.isoformat() if known.released else None,
            "trial": {
                "outcome": verdict.outcome,
                "against": incumbent.name if incumbent else None,
                "probes": verdict.probes,
                "difference": [verdict.lower, verdict.difference, verdict.upper],
                "cost_usd": verdict.cost_usd,
            },
            "simulated": True if verdict.simulated else None,
        }
        known_facts = {name: fact for name, fact in facts.items() if fact is not None}
        return cast("Evidence", known_facts)

    def _chosen(self, host: str, model: str) -> Chosen:
        name = self.candidate.name
        return {"type": "chosen", **self._step(), "name": name, "host": host, "model": model}

    def _step(self) -> Step:
        return {"candidate": self.candidate.key, "category": self.category}


def _fits(gguf: Gguf) -> None:
    """Raise SourceError if there is not enough memory for these weights beside what already
    runs."""
    needed, free = download.needed_bytes(gguf.size), download.available_bytes()
    if needed > free:
        raise SourceError(
            f"{gguf.file} needs {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free"
        )


def _origin(gguf: Gguf) -> dict[str, str]:
    return {"repository": gguf.repository, "revision": gguf.revision, "sha256": gguf.sha256}


def _summary(answer: Reply) -> Answered:
    return {
        "ok": answer.error is None,
        "thought": answer.thought,
        "ttft_ms": answer.ttft_ms and round(answer.ttft_ms, 1),
        "cost_usd": answer.cost_usd,
        "error": answer.error,
    }
