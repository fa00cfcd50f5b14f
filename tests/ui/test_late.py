"""Late answers find the request that they belong to."""

import asyncio
from types import SimpleNamespace

from ui.chat_service import ChatService
from ui.run import LateAnswers
from ui.transcript import Conversation


class Source:
    def __init__(self):
        self.queue = asyncio.Queue()
        self.subscriptions = 0

    async def late(self):
        self.subscriptions += 1
        while (answer := await self.queue.get()) is not None:
            yield answer


async def test_an_answer_goes_to_its_own_request():
    source = Source()
    service = LateAnswers(source.late)
    service.open()
    one, two = service.expect("1"), service.expect("2")
    await source.queue.put({"request_id": "2", "text": "late"})
    assert (await two)["text"] == "late"
    assert not one.done()


async def test_one_subscription_serves_all_tabs():
    source = Source()
    service = LateAnswers(source.late)
    service.open()
    service.open()
    future = service.expect("1")
    await source.queue.put({"request_id": "1"})
    await future
    assert source.subscriptions == 1


async def test_what_nobody_waits_for_is_dropped_and_nothing_grows():
    source = Source()
    service = LateAnswers(source.late)
    service.open()
    service.expect("1")
    service.forget("1")
    await source.queue.put({"request_id": "1"})
    await source.queue.put({"request_id": "unknown"})
    last = service.expect("2")
    await source.queue.put({"request_id": "2"})
    await last
    service.forget("2")
    assert not service._waiting


async def test_a_router_that_closes_lets_everybody_go():
    source = Source()
    service = LateAnswers(source.late)
    service.open()
    future = service.expect("1")
    await source.queue.put(None)
    assert await future is None


async def test_an_answer_that_comes_before_the_browser_asks_for_it_is_kept():
    source = Source()
    service = LateAnswers(source.late)
    service.open()
    service.expect("1")
    await source.queue.put({"request_id": "1", "text": "late"})
    await asyncio.wait({service.expect("1")})
    assert (await service.expect("1"))["text"] == "late"
    service.forget("1")
    assert not service._waiting


async def test_two_turns_of_one_conversation_get_their_own_answers(settings_for):
    service = ChatService(SimpleNamespace(settings=settings_for(), late=Source().late))
    conversation = Conversation([Awaiting("1"), Awaiting("2")])
    waits = [asyncio.create_task(service.amendment(conversation, "tab")) for _ in range(3)]
    await asyncio.sleep(0)
    for request_id in ("1", "2"):
        service._late.expect(request_id).set_result({"request_id": request_id})
    amended = await asyncio.gather(*waits)
    assert [view and view.late["request_id"] for view in amended] == ["2", "1", None]
    assert not service._late._waiting


class Awaiting:
    """A turn whose primary may still come."""

    route = None

    def __init__(self, request_id):
        self.request_id = request_id
        self.late = None

    @property
    def awaited(self):
        return self.late is None

    def apply(self, answer):
        self.late = answer
