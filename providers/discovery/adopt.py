"""From a candidate to a provider on trial: fetch it if need be, try it, append it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from config import editor
from config.models import Provider, Settings
from config.probe_sets import load_probes
from providers.discovery.candidates import Candidate
from providers.discovery.entry import Place, entry_for, fields_for, provider_for
from providers.discovery.result import SearchResult
from providers.discovery.trial import (
    SHARES,
    Contender,
    Event,
    Reply,
    Rules,
    Verdict,
    compare,
    smoke,
)
from providers.registry import Providers


class Adoption:
    """One candidate on its way into one category."""

    def __init__(
        self,
        settings: Settings,
        providers: Providers,
        result: SearchResult,
        candidate: Candidate,
        hub: str | None,
    ) -> None:
        self.settings = settings
        self.providers = providers
        self.result = result
        self.category = result.category
        self.candidate = candidate
        self.hub = hub

    async def run(self) -> AsyncIterator[Event]:
        """See `Search.try_and_append`."""
        place = self._place()
        yield self._event("chosen", host=place.host, model=place.model, name=self.candidate.name)
        tried = provider_for(self.candidate, place, self.settings)
        trial_settings = self.settings.model_copy(
            update={"providers": (*self.settings.providers, tried)}
        )
        ours = self.providers
        providers = Providers(trial_settings, clock=ours.clock, sleep=ours.sleep)
        try:
            contender = self._contender(providers, tried)
            answer = await smoke(contender)
            yield self._event("smoke", **_told(answer))
            if answer.error:
                yield self._event("refused", reason=f"it does not answer: {answer.error}")
                return
            verdict = Verdict("undecided", "this category has no probes")
            async for event in self._compared(contender, tried):
                if isinstance(event, Verdict):
                    verdict = event
                else:
                    yield self._event(**event)
        finally:
            await providers.close()
        yield self._event("decided", **asdict(verdict))
        if verdict.outcome not in SHARES:
            yield self._event("refused", reason=verdict.reason, outcome=verdict.outcome)
            return
        yield await self._append(place, tried, verdict)

    def _place(self) -> Place:
        offer = self.candidate.offers[0]
        return Place(offer.host, offer.model, offer)

    def incumbent(self) -> Provider | None:
        """The category's first provider in the declared order that is not on trial itself."""
        order = (self.settings.provider(name) for name in self.settings.order(self.category))
        return next((p for p in order if p.trial is None), None)

    async def _compared(self, mine: Contender, tried: Provider) -> AsyncIterator[Event | Verdict]:
        probes = load_probes(self.settings.config_dir, self.category)
        incumbent = self.incumbent()
        if probes is None or incumbent is None:
            return
        kinds = {self.settings.hosts[p.host].kind for p in (tried, incumbent)}
        rules = Rules(
            ttft_s=self.settings.limits_for(self.category).ttft_s,
            abreast=1 if "llama_cpp" in kinds else 4,
        )
        theirs = self._contender(self.providers, incumbent)
        async for event in compare(mine, theirs, probes.probes, rules):
            yield event

    def _contender(self, providers: Providers, provider: Provider) -> Contender:
        quality = provider.simulation.quality if provider.simulation else None
        return Contender(providers.get(provider.name), provider.cost, quality)

    async def _append(self, place: Place, tried: Provider, verdict: Verdict) -> Event:
        day = datetime.fromtimestamp(self.result.now, UTC).date().isoformat()
        share = SHARES[verdict.outcome]
        fields = fields_for(self.candidate, place, self.settings)
        entry = entry_for(fields, day, self._evidence(verdict), share)
        note = f"found for {self.category}, {verdict.outcome} in its trial"
        change = await asyncio.to_thread(
            editor.append_provider,
            self.settings.config_dir,
            self.settings.data_dir,
            entry,
            {self.category: None},
            note,
        )
        return self._event("appended", provider=tried.name, share=share, file=change.file)

    def _evidence(self, verdict: Verdict) -> dict[str, Any]:
        """What a person who finds the entry should know of how it came there."""
        known, incumbent = self.candidate.evidence, self.incumbent()
        facts = {
            "category": self.category,
            "score": round(self.candidate.score.total, 3),
            "sources": list(self.candidate.sources),
            "licence": known.licence,
            "released": known.released.isoformat() if known.released else None,
            "trial": {
                "outcome": verdict.outcome,
                "against": incumbent.name if incumbent else None,
                "probes": verdict.probes,
                "difference": [verdict.lower, verdict.difference, verdict.upper],
                "cost_usd": verdict.cost_usd,
            },
        }
        if verdict.simulated:
            facts["simulated"] = True
        return {name: fact for name, fact in facts.items() if fact is not None}

    def _event(self, type: str, **fields: Any) -> Event:  # noqa: A002
        return {
            "type": type,
            "candidate": self.candidate.key,
            "category": self.category,
            **fields,
        }


def _told(answer: Reply) -> dict[str, Any]:
    return {
        "ok": answer.error is None,
        "ttft_ms": answer.ttft_ms and round(answer.ttft_ms, 1),
        "cost_usd": answer.cost_usd,
        "error": answer.error,
    }
