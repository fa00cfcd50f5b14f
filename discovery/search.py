"""The entry point of the search for better models: find, try, append, undo."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import cast

from config import editor
from config.catalogue import Catalogue, load_catalogue
from config.errors import ConfigError, NotFoundError, UsageError
from config.evidence import Evidence, load_evidence
from config.journal import Change
from config.models import Settings
from config.writer import PROVIDERS, check_writable
from discovery import download
from discovery.adopt import Adoption
from discovery.calls import Journal
from discovery.candidates import Candidate, join
from discovery.entry import Entry
from discovery.events import Appended, Question, Refused, TrialEvent
from discovery.refresh import Difference, differences, listings
from discovery.result import SearchResult
from discovery.sources.arena import ArenaSource
from discovery.sources.cache import FRESH_S, AnswerCache, Refusals
from discovery.sources.catalogued import CatalogueSource
from discovery.sources.hosts import host_sources
from discovery.sources.hub import HubSource
from discovery.sources.hub_client import HubPlace
from discovery.sources.openrouter import BASE_URL, OpenRouterSource
from discovery.sources.source import Answer, Source, ask_all
from discovery.trial import Decision, verdict
from providers.registry import Providers
from routing.ranking.standings import Standing

Audit = Callable[[str, str, Mapping[str, object]], Awaitable[None]]
"""Records a step that the application took on its own: kind, subject, detail."""


_AUDITED = {"chosen", "downloaded", "smoke", "probe", "decided", "appended", "refused"}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of the public sources; tests use loopback servers."""

    hub: str | None = None
    """None: HF_ENDPOINT if it is set, else the public hub."""
    openrouter: str = BASE_URL


async def _keep_nothing(kind: str, subject: str, detail: Mapping[str, object]) -> None:
    """For callers without a log."""


class Search:
    """Searches on behalf of one configuration; `clock` returns Unix time."""

    def __init__(
        self,
        settings: Settings,
        providers: Providers,
        audit: Audit | None = None,
        *,
        addresses: Addresses | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.providers = providers
        self.audit = audit or _keep_nothing
        self.addresses = addresses or Addresses()
        self.clock = clock
        self.cache = AnswerCache(settings.data_dir)
        self.refusals = Refusals(settings.data_dir)

    async def search(self, category: str, *, refresh: bool = False) -> SearchResult:
        """The candidates for a category; `refresh` bypasses the cache of the remote sources.

        Failed sources are named in the result. Raises UsageError for an unknown category.
        """
        if category not in self.settings.priorities:
            known = ", ".join(self.settings.priorities)
            raise UsageError(f"there is no category `{category}`; there are {known}", "category")
        catalogue, broken = await asyncio.to_thread(self._catalogue)
        sources = await asyncio.to_thread(self._sources, catalogue)
        answers = await self._answers(sources, category, refresh)
        now = self.clock()
        today = datetime.fromtimestamp(now, UTC).date()
        evidence, unread = await asyncio.to_thread(self._evidence)
        candidates = tuple(join(answers, self.settings, category, today, evidence))
        refused = await asyncio.to_thread(self.refusals.among, category, candidates, now)
        old = [a.at for a, s in zip(answers, sources, strict=True) if s.cached and a.at < now - 60]
        return SearchResult(
            category=category,
            candidates=candidates,
            asked={answer.source: len(answer.found) for answer in answers},
            problems=tuple(p for p in (broken, unread, *(a.problem for a in answers)) if p),
            cached_at=min(old, default=None),
            now=now,
            embedded_host=self._embedded_host(),
            refused=refused,
        )

    async def differences(self, category: str) -> list[Difference]:
        """Where the live sources, asked anew, differ from the configuration."""
        catalogue, _ = await asyncio.to_thread(self._catalogue)
        sources = await asyncio.to_thread(self._sources, catalogue)
        answers = await self._answers(sources, category, refresh=True)
        today = datetime.fromtimestamp(self.clock(), UTC).date()
        return differences(listings(answers, self.settings), self.settings, catalogue, today)

    async def write(self, found: Sequence[Difference]) -> list[str]:
        """Write differences into the configuration, one change for each file; returns the changed
        files.

        Raises ConfigError if a file cannot be changed.
        """
        files = list(dict.fromkeys(d.file for d in found if d.assignments))
        for file in files:
            mine = [d for d in found if d.file == file and d.assignments]
            assignments = [one for d in mine for one in d.assignments]
            note = f"{len(mine)} facts from live sources"
            await self._edit(editor.refresh, file, assignments, note)
            detail = {"file": file, "differences": [d.said for d in mine]}
            await self.audit("discovery.refreshed", file, detail)
        return files

    async def try_and_append(
        self,
        category: str,
        candidate: str | Candidate | None = None,
        *,
        accepted: Collection[str] = (),
    ) -> AsyncGenerator[TrialEvent]:
        """Try a candidate (None: the most promising) and append it if it is not worse.

        Events: those of `attempt`, then `appended`, or `refused` with a `reason`; close the
        iterator to stop early. Raises as `attempt` does, and ConfigError if the configuration
        cannot be written.
        """
        async with aclosing(self.attempt(category, candidate, accepted=accepted)) as events:
            async for event in events:
                yield event
                if event["type"] != "decided":
                    continue
                if event["entry"] is not None:
                    yield await self.append(category, event["candidate"], event["entry"])
                    continue
                refused = {"reason": event["reason"], "outcome": event["outcome"]}
                row = {"candidate": event["candidate"], "category": category, **refused}
                yield await self.refuse(row)

    async def attempt(
        self,
        category: str,
        candidate: str | Candidate | None = None,
        *,
        accepted: Collection[str] = (),
        journal: Journal | None = None,
    ) -> AsyncGenerator[TrialEvent]:
        """Try a candidate against the category's incumbent; the configuration is not changed.

        Events: `chosen`, `downloading`, `downloaded`, `smoke`, `incumbent` (one that does not
        answer), `probe`, and last `decided`, whose `entry` is the argument of `append`, or
        `refused`. Calls found in `journal` are not repeated. `accepted` are the licence questions
        that a person has agreed to; an open one is asked in a `question` event, and nothing is
        tried. Raises UsageError for a candidate that is unknown or cannot be served, ConfigError if
        the configuration is read-only.
        """
        await asyncio.to_thread(check_writable, self.settings.config_dir / PROVIDERS)
        result = await self.search(category)
        chosen = _choose(result, candidate)
        if chosen is None:
            reason = "no candidate is new, served by an enabled host and not recently refused"
            yield {
                "type": "refused",
                "candidate": None,
                "category": category,
                "reason": reason,
                "outcome": "not tried",
            }
            return
        if open_ := [q for q in chosen.questions if q not in accepted]:
            row = {"candidate": chosen.key, "category": category, "name": chosen.name}
            yield cast("Question", {"type": "question", **row, "questions": open_})
            reason = f"its licence must be agreed to first: {open_[0]}"
            yield await self.refuse({**row, "reason": reason, "outcome": "not tried"})
            return
        adoption = Adoption(
            self.settings, self.providers, result, chosen, self._hub(), journal=journal
        )
        async with aclosing(adoption.attempt()) as events:
            async for event in events:
                if event["type"] == "refused":
                    yield await self.refuse(event)
                    continue
                await self._note(event, chosen.key)
                yield event

    async def append(self, category: str, candidate: str, entry: Entry) -> Appended:
        """Add an entry from `attempt` to the configuration, on trial and last in the order.

        Returns the `appended` event. Raises AlreadyThereError if another process added it first,
        ConfigError if the file cannot be changed.
        """
        share = entry["trial"]["share"]
        outcome = entry["evidence"]["trial"]["outcome"]
        change = await asyncio.to_thread(
            editor.append_provider,
            self.settings.config_dir,
            self.settings.data_dir,
            entry,
            {category: None},
            f"found for {category}, {outcome} in its trial",
        )
        event: Appended = {
            "type": "appended",
            "candidate": candidate,
            "category": category,
            "provider": str(entry["name"]),
            "share": share,
            "file": str((self.settings.config_dir / change.file).resolve()),
        }
        await self._note(event, candidate)
        return event

    async def _note(self, event: TrialEvent, candidate: str) -> None:
        if event["type"] in _AUDITED:
            subject = str(event.get("provider") or candidate)
            await self.audit(f"discovery.{event['type']}", subject, event)

    async def refuse(self, row: Mapping[str, object]) -> Refused:
        """Store a refusal, so that the next search tries another candidate."""
        event = cast("Refused", {**row, "type": "refused"})
        name = str(event["candidate"])
        await self._note(event, name)
        outcome, reason = str(event["outcome"]), str(event["reason"])
        refusal = str(event["category"]), name, outcome, reason, self.clock()
        await asyncio.to_thread(self.refusals.add, *refusal)
        return event

    async def judge(
        self,
        trial: Standing,
        others: Sequence[Standing],
        *,
        category: str | None = None,
        breaker_opened: bool = False,
    ) -> Decision:
        """Decide whether a provider on trial is kept, promoted or rolled back, and do it; see
        `trial.verdict`.

        `category` is the one that these standings are from; the audit row names it. An entry
        written by a person is never changed. Raises ConfigError if the file cannot be changed.
        """
        if self.settings.provider(trial.provider).added is None:
            return Decision("keep", "a person put it on trial: only a person ends that")
        decision = verdict(trial, others, breaker_opened=breaker_opened)
        try:
            if decision.action == "promote":
                change = await self._edit(editor.set_trial, trial.provider, None, decision.reason)
                if change.before == change.after:
                    return Decision("keep", "its trial has ended already")
            elif decision.action == "roll back":
                await self._edit(editor.remove_provider, trial.provider, decision.reason)
        except NotFoundError:
            return Decision("keep", "another process has ended the trial")
        if decision.action != "keep":
            kind = "discovery.promoted" if decision.action == "promote" else "discovery.rolled_back"
            detail = {"category": category, "reason": decision.reason}
            await self.audit(kind, trial.provider, detail)
        return decision

    async def _edit(self, change: Callable[..., Change], *arguments: object) -> Change:
        folders = self.settings.config_dir, self.settings.data_dir
        return await asyncio.to_thread(change, *folders, *arguments)

    async def undo(self) -> str:
        """Undo the application's last change; see `config.editor.undo`."""
        settings = self.settings
        said = await asyncio.to_thread(editor.undo, settings.config_dir, settings.data_dir)
        await self.audit("discovery.undone", "providers.yaml", {"said": said})
        return said

    def _embedded_host(self) -> str | None:
        hosts = self.settings.hosts.items()
        return next((n for n, h in hosts if h.kind == "llama_cpp" and h.disabled is None), None)

    def _catalogue(self) -> tuple[Catalogue, str | None]:
        """The catalogue, or an empty one and what is wrong with it, since it is only one source of
        several."""
        try:
            return load_catalogue(self.settings.config_dir), None
        except ConfigError as error:
            return Catalogue(date=date.min, sources={}, entries=()), str(error)

    def _evidence(self) -> tuple[Evidence, str | None]:
        """The public evidence, or none and what is wrong with it."""
        try:
            return load_evidence(self.settings.config_dir), None
        except ConfigError as error:
            empty = Evidence(date=date.min, skills={}, benchmarks={}, figures={})
            return empty, str(error)

    def _hub(self) -> HubPlace:
        """Uses the login of a host with HF_TOKEN, wherever the loader found that."""
        hosts = self.settings.hosts.values()
        token = next((h.key for h in hosts if h.api_key_env == "HF_TOKEN" and h.key), None)
        return HubPlace(self.addresses.hub or self.settings.environment.hub_endpoint, token)

    def _sources(self, catalogue: Catalogue) -> list[Source]:
        """Local ones first. If every host is simulated, the network is not used."""
        sources: list[Source] = [CatalogueSource(catalogue)]
        sources += host_sources(self.settings, catalogue)
        kinds = {host.kind for host in self.settings.hosts.values() if host.disabled is None}
        if kinds != {"simulated"}:
            room = download.available_bytes() if self._embedded_host() else 0
            sources.append(HubSource(download.largest_weights(room), self._hub()))
            sources.append(OpenRouterSource(self.addresses.openrouter))
            sources.append(ArenaSource(self._evidence()[0], self._hub()))
        return sources

    async def _answers(
        self, sources: Sequence[Source], category: str, refresh: bool
    ) -> list[Answer]:
        """In the order of `sources`; a failed source is answered from the cache, and marked."""
        remote = {source.name for source in sources if source.cached}
        stored = await asyncio.to_thread(self.cache.of, category, remote)
        now = self.clock()
        fresh = {
            name: answer
            for name, answer in stored.items()
            if answer and not refresh and now - answer.at < FRESH_S
        }
        asked = await ask_all([s for s in sources if s.name not in fresh], category, self.clock)
        answered = [a for a in asked if a.source in remote and not a.problem]
        await asyncio.to_thread(self.cache.put, category, answered)
        answers = fresh | {answer.source: answer for answer in asked}
        for name, answer in answers.items():
            if answer.problem and (last := stored.get(name)):
                problem = f"{answer.problem}; its last answer is used"
                answers[name] = last.model_copy(update={"problem": problem})
        return [answers[source.name] for source in sources]


def _choose(result: SearchResult, candidate: str | Candidate | None) -> Candidate | None:
    if candidate is None:
        return result.best()
    name = candidate if isinstance(candidate, str) else candidate.key
    found = result.find(name)
    if found is None:
        raise UsageError(f"the search for {result.category} found no `{name}`", "candidate")
    if not result.servable(found):
        raise UsageError(f"`{found.name}` is served by no enabled host", "candidate")
    return found
