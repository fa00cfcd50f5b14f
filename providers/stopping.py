"""Stop sequences beyond what hosts accept: the answer is ended here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from providers.base import CallOptions, ChatProvider, Delta, Logprob, Message, ProviderError

SENT = 4
"""Number of stop sequences sent to a host: OpenAI's own rejects a fifth
(https://platform.openai.com/docs/api-reference/chat/create)."""


def stream(
    provider: ChatProvider, messages: Sequence[Message], options: CallOptions
) -> AsyncIterator[Delta]:
    """`provider.stream` with any number of stop sequences.

    The host is sent the first few; the answer ends before whichever comes first, with the finish
    reason `stop`, and the call is closed, so its tokens are not reported. An answer that is empty
    up to there raises ProviderError, as it does if the host stops there.
    """
    if len(options.stop) <= SENT:
        return provider.stream(messages, options)
    few = replace(options, stop=options.stop[:SENT])
    return _until(provider.stream(messages, few), options.stop, provider.name)


async def _until(
    answer: AsyncIterator[Delta], words: Sequence[str], name: str
) -> AsyncIterator[Delta]:
    held, said = _Held(words), False
    async with aclosing(answer) as deltas:  # type: ignore[type-var]
        async for delta in deltas:
            for ready in held.feed(delta):
                said = said or bool(ready.text.strip())
                yield ready
            if held.stopped:
                if not said:
                    raise ProviderError("bad_reply", f"{name} sent nothing before a stop sequence")
                yield Delta(finish_reason="stop")
                return
        for ready in held.rest():
            yield ready


class _Held:
    """Deltas whose text may be the beginning of a stop sequence."""

    def __init__(self, words: Sequence[str]) -> None:
        self.stopped = False
        self._words = words
        self._longest = max(map(len, words))
        self._deltas: list[Delta] = []
        self._text = ""

    def feed(self, delta: Delta) -> list[Delta]:
        """The deltas that may be passed on; the last ones once `stopped`."""
        last = bool(delta.finish_reason or delta.tool_calls)
        if not delta.text and not delta.logprobs:
            return [*self.rest(), delta] if last else [delta]
        self._deltas.append(delta)
        self._text += delta.text
        if (end := self._found()) is not None:
            self.stopped = True
            return _before(end, self._deltas)
        return self.rest() if last else self._released(self._begun())

    def rest(self) -> list[Delta]:
        """The deltas still held when no more text can come."""
        return self._take(len(self._deltas))

    def _found(self) -> int | None:
        """The position of the stop sequence that is complete first."""
        places = ((self._text.find(word), word) for word in self._words)
        ends = [(at + len(word), at) for at, word in places if at >= 0]
        return min(ends)[1] if ends else None

    def _begun(self) -> int:
        """The position where the end of the text may begin a stop sequence."""
        size = len(self._text)
        for at in range(max(0, size - self._longest + 1), size):
            if any(word.startswith(self._text[at:]) for word in self._words):
                return at
        return size

    def _released(self, end: int) -> list[Delta]:
        """Whole deltas up to there. Log probabilities wait for their text, which follows them."""
        seen = count = 0
        for index, delta in enumerate(self._deltas, 1):
            seen += len(delta.text)
            if delta.text and seen <= end:
                count = index
        return self._take(count)

    def _take(self, count: int) -> list[Delta]:
        taken, self._deltas = self._deltas[:count], self._deltas[count:]
        self._text = self._text[sum(len(delta.text) for delta in taken) :]
        return taken


def _before(end: int, deltas: Sequence[Delta]) -> list[Delta]:
    """The deltas without the text after `end` characters."""
    kept, shown, measured = [], 0, 0
    for delta in deltas:
        chances: list[Logprob] = []
        for chance in delta.logprobs:
            measured += len(chance["token"])
            if measured <= end:
                chances.append(chance)
        text = delta.text[: max(0, end - shown)]
        shown += len(delta.text)
        if text or chances:
            kept.append(Delta(text=text, logprobs=tuple(chances)))
    return kept
