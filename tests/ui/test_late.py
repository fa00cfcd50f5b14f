"""Late answers find the request that they belong to."""

import asyncio

from ui.run import LateAnswers


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
    await asyncio.sleep(0)
    assert not service._waiting


async def test_a_router_that_closes_lets_everybody_go():
    source = Source()
    service = LateAnswers(source.late)
    service.open()
    future = service.expect("1")
    await source.queue.put(None)
    assert await future is None
