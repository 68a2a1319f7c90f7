"""Events reach those who watch, and nobody is waited for."""

import asyncio

import pytest

from archestra_gateway.errors import RateLimited
from archestra_gateway.services.event import BACKLOG, LAGGED, MOST_WATCHERS, Event, Events


async def test_every_watcher_hears_what_happens_from_then_on() -> None:
    events = Events()
    events.publish("too.early")
    watchers = [events.watch(), events.watch()]
    waiting = [asyncio.ensure_future(anext(watcher)) for watcher in watchers]
    await asyncio.sleep(0)

    events.publish("mcp_server.authorization", name="files")

    expected = Event("mcp_server.authorization", {"name": "files"})
    assert await asyncio.gather(*waiting) == [expected, expected]


async def test_a_slow_watcher_is_told_that_it_missed_something() -> None:
    events = Events()
    watcher = events.watch()
    first = asyncio.ensure_future(anext(watcher))
    await asyncio.sleep(0)

    for number in range(BACKLOG + 10):
        events.publish("x.y", number=number)

    assert await first == LAGGED
    assert (await anext(watcher)).data == {"number": BACKLOG + 1}


async def test_watchers_are_bounded_and_leave_room_when_they_go() -> None:
    events = Events()
    watchers = [events.watch() for _ in range(MOST_WATCHERS + 1)]
    waiting = [asyncio.ensure_future(anext(watcher)) for watcher in watchers[:-1]]
    await asyncio.sleep(0)

    with pytest.raises(RateLimited):
        await anext(watchers[-1])

    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    again = asyncio.ensure_future(anext(events.watch()))
    await asyncio.sleep(0)
    events.publish("x.y")
    assert (await again).kind == "x.y"
    await asyncio.gather(*waiting[1:])
