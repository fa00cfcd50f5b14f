"""What a source of models is, and how all of them are asked concurrently.

A source is one small class. It may be slow, wrong or down: its deadline ends it, its failure is a
sentence in the result, and the other sources are unaffected.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, TypeVar

from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from config.errors import RouterError
from config.evidence import Figure
from config.hosts import Cost, Model
from discovery.identity import clean

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")
CONNECT_S = 4.0
MAX_REPLY_BYTES = 16 * 2**20

Text = Annotated[str, BeforeValidator(clean)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_@.:/+~-]{1,160}$", strict=True)]
"""Valid ids, since an id is sent back to its host; anything else is ignored."""
Count = Annotated[float, Field(ge=0, lt=1e18, allow_inf_nan=False)]


class SourceError(RouterError):
    """A source could not be asked, or its answer not understood; the message is a sentence.

    `found` is what it had returned before.
    """

    def __init__(self, message: str, found: Sequence[Found] = ()) -> None:
        super().__init__(message)
        self.found = found


class RefusedError(SourceError):
    """Do not retry: it would fail the same way, or must not be attempted."""


class Gguf(Model):
    """Weights in a hub repository that llama.cpp can load."""

    repository: Id
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
    file: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.+-]{1,120}\.gguf$")]
    size: int = Field(gt=0)
    """Bytes."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Found(Model):
    """One model as one source describes it; None: the source does not say."""

    source: str
    id: Id
    host: str | None = None
    """The enabled host that lists it; only a source that asked that host sets this."""
    title: Text | None = None
    """Display name."""
    aliases: tuple[Id, ...] = ()
    """Other ids of the same weights, as confirmed by the source."""
    also: Id | None = None
    """Another, fuller name of the same weights from the source (a hub repository)."""
    bases: tuple[Text, ...] = ()
    """What the source says it derives from: names of models or of a family."""
    architecture: Text | None = None
    chat: bool | None = None
    """Whether it is instruction-tuned; None: decide by the name."""
    parameters: Count | None = None
    active: Count | None = None
    """Parameters used for each token, if not all are."""
    thinks: Literal["always", "asked"] | None = None
    context: int | None = Field(default=None, gt=0)
    licence: Text | None = None
    commercial: bool | None = None
    released: str | None = Field(default=None, pattern=r"^\d{4}-\d\d-\d\d$")
    cost: Cost | None = None
    """USD per million tokens at `host`; without a host, the price elsewhere."""
    places: tuple[str, ...] = ()
    """Configured hosts that serve it, or used to, according to the source."""
    prices: dict[str, Cost] = Field(default_factory=dict)
    """Prices at configured hosts when the source was written."""
    downloads: Count | None = None
    likes: Count | None = None
    tags: tuple[Text, ...] = ()
    figures: dict[str, Figure] = Field(default_factory=dict)
    """Its figures in the benchmarks of evidence.yaml."""
    evidence_only: bool = False
    """Whether the source only has figures for it, which alone do not make it a candidate."""
    gated: bool = False
    gguf: Gguf | None = None
    simulation: dict[str, object] | None = None
    note: Annotated[str, BeforeValidator(lambda text: clean(text, 200))] | None = None
    as_of: str | None = None
    """The date of this information, if not today's."""


class Source(Protocol):
    """A place to look for models."""

    @property
    def name(self) -> str:
        """Its name in results and in the cache."""
        ...

    @property
    def deadline_s(self) -> float: ...

    @property
    def cached(self) -> bool:
        """Whether its answer may be an hour old; not for local sources or ones that a decision
        rests on."""
        ...

    async def search(self, category: str, http: httpx2.AsyncClient) -> list[Found]:
        """Models that may suit the category; raises SourceError."""
        ...


class Answer(Model):
    """What one source answered, and when (Unix time)."""

    source: str
    at: float
    found: tuple[Found, ...] = ()
    problem: str | None = None


async def ask_all(
    sources: Sequence[Source], category: str, clock: Callable[[], float] = time.time
) -> list[Answer]:
    """Every source's answer, in the order of `sources`; takes at most the longest deadline."""
    async with client() as http:
        return list(await asyncio.gather(*(_ask(s, category, http, clock) for s in sources)))


async def _ask(
    source: Source, category: str, http: httpx2.AsyncClient, clock: Callable[[], float]
) -> Answer:
    import httpx2

    problem = None
    found: list[Found] = []
    try:
        async with asyncio.timeout(source.deadline_s):
            found = await source.search(category, http)
    except TimeoutError:
        problem = f"{source.name} did not answer within {source.deadline_s:g} s"
    except SourceError as error:
        problem, found = clean(error, 300), list(error.found)
    except httpx2.HTTPError as error:
        broken = not isinstance(error, httpx2.ConnectError)
        what = f"broke off ({type(error).__name__})" if broken else "cannot be reached"
        problem = f"{source.name} {what}"
    return Answer(source=source.name, at=clock(), found=tuple(found), problem=problem)


def client() -> httpx2.AsyncClient:
    """An HTTP client for addresses that the user configured: no redirects, and no proxy for
    loopback."""
    import httpx2

    here = ("127.0.0.1", "localhost", "[::1]")
    return httpx2.AsyncClient(
        follow_redirects=False,
        timeout=httpx2.Timeout(30.0, connect=CONNECT_S),
        mounts={f"all://{name}": None for name in here},
    )


async def get_json(
    http: httpx2.AsyncClient, what: str, url: str, headers: Mapping[str, str] | None = None
) -> object:
    """The JSON at an address; raises SourceError if the reply is anything else."""
    async with http.stream("GET", url, headers=headers) as response:
        if response.status_code != 200:
            raise SourceError(f"{what} answered with status {response.status_code}")
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_REPLY_BYTES:
                raise SourceError(f"{what} sent more than {MAX_REPLY_BYTES // 2**20} MB")
    try:
        return json.loads(body)
    except ValueError:
        raise SourceError(f"{what} sent something that is not JSON") from None


def entries(what: str, reply: object, *keys: str) -> list[Mapping[str, object]]:
    """The list of objects in a reply, bare or under one of these keys; raises SourceError if there
    is none."""
    listed = (
        next((reply[k] for k in keys if k in reply), None) if isinstance(reply, dict) else reply
    )
    if not isinstance(listed, list):
        raise SourceError(f"{what} did not send a list of models")
    return [entry for entry in listed if isinstance(entry, dict)]


def read(listed: Iterable[T], describe: Callable[[T], Mapping[str, object]]) -> list[Found]:
    """The entries that can be used; one with an invalid id (with spaces) is dropped."""
    found = []
    for entry in listed:
        try:
            found.append(Found.model_validate(describe(entry)))
        except (ValidationError, TypeError, ValueError, AttributeError):
            continue  # these lists come from third parties: any field may have any type
    return found
