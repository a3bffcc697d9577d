"""What several want at the same moment is done once."""

from __future__ import annotations

import asyncio

import pytest

from bolt_app.single_flight import SingleFlight
from zendesk_bridge.flows.errors import Paced


@pytest.mark.parametrize("late", range(6))
async def test_who_comes_when_work_was_put_off_tries_by_itself(late: int) -> None:
    flights, tries = SingleFlight(), 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0)
        raise Paced("A call has to wait", retry_after=1)

    async def want(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        with pytest.raises(Paced):
            await flights.do("key", work)

    await asyncio.gather(want(0), want(late), want(late))
    assert tries >= 2


async def test_work_is_done_once_for_all_who_want_it() -> None:
    flights, tries = SingleFlight(), 0

    async def work() -> int:
        nonlocal tries
        tries += 1
        await asyncio.sleep(0.01)
        return tries

    assert await asyncio.gather(*(flights.do("key", work) for _ in range(5))) == [1] * 5
    assert await flights.do("key", work) == 2
