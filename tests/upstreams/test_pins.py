"""What is accepted at first sight, what is held back later, and what a listing can not know."""

import json
from typing import Any

import pytest
from msgspec import Raw

from archestra_gateway.upstreams.pins import MOST_HELD, NO_ABILITIES, Pins, abilities

ABLE = frozenset({"sampling"})


def items(**descriptions: str) -> list[Raw]:
    tools = [{"name": name, "description": text} for name, text in descriptions.items()]
    return [Raw(json.dumps(tool).encode()) for tool in tools]


class Told:
    """The pins of a server, and what was said about them."""

    def __init__(self) -> None:
        self.news: list[bool] = []
        self.pins = Pins(keep=self.keep)

    async def keep(self, is_news: bool) -> None:
        self.news.append(is_news)

    async def __call__(
        self,
        seen_by: frozenset[str] = NO_ABILITIES,
        *,
        within: int = 0,
        is_whole: bool = True,
        **descriptions: str,
    ) -> list[str]:
        kept = await self.pins.observe(items(**descriptions), seen_by, within, is_whole=is_whole)
        return [json.loads(bytes(item))["name"] for item in kept]

    @property
    def waiting(self) -> tuple[set[str], set[str]]:
        return set(self.pins.held), set(self.pins.gone)


@pytest.fixture
def seen() -> Told:
    return Told()


async def test_the_first_sight_is_accepted_and_is_no_news(seen: Told) -> None:
    assert await seen(a="one", b="two") == ["a", "b"]
    assert await seen(a="one", b="two") == ["a", "b"]
    assert seen.news == [False]


async def test_nothing_at_all_is_no_sight(seen: Told) -> None:
    """Some servers register their tools a moment after they were started."""
    assert await seen() == []
    assert await seen(a="one") == ["a"]


async def test_one_page_is_no_sight(seen: Told) -> None:
    assert await seen(is_whole=False, a="one") == []
    assert seen.waiting == ({"a"}, set())


async def test_new_and_changed_ones_wait_and_missing_ones_are_gone(seen: Told) -> None:
    await seen(a="one", b="two", c="three")

    assert await seen(a="one", b="other", d="four") == ["a"]
    assert seen.waiting == ({"b", "d"}, {"c"})
    assert seen.news == [False, True]


async def test_a_page_takes_nothing_back(seen: Told) -> None:
    await seen(a="one", b="two")
    await seen(a="other", b="two")

    assert await seen(is_whole=False, a="one") == []
    assert seen.waiting == ({"a"}, set())
    assert await seen(a="one", b="two") == ["a", "b"]


async def test_only_a_later_conversation_takes_back_what_one_showed(seen: Told) -> None:
    """A server may show one process's clients another face than the gateway."""
    shared, session, later = (seen.pins.new_conversation() for _ in range(3))
    await seen(within=shared, a="one", b="two")
    assert await seen(within=session, a="other", b="two") == ["b"]

    assert await seen(within=shared, a="one", b="two") == ["b"]
    assert await seen(within=later, a="one", b="two") == ["a", "b"]


async def test_who_can_do_more_sees_more_once(seen: Told) -> None:
    await seen(a="one")

    assert await seen(ABLE, a="one", ask="it") == ["a", "ask"]
    assert await seen(a="one") == ["a"]
    assert seen.waiting == (set(), set())
    assert await seen(ABLE, a="one", ask="something else", more="it") == ["a"]
    assert seen.waiting == ({"ask", "more"}, set())
    assert await seen(a="one") == ["a"]
    assert seen.waiting == ({"ask", "more"}, set())


async def test_it_is_known_which_kinds_of_clients_are_shown_more(seen: Told) -> None:
    roots, both = frozenset({"roots"}), frozenset({"roots", "sampling"})

    def more(client: frozenset[str]) -> list[str]:
        return [each.name for each in seen.pins.more_for(client)]

    await seen(a="one")
    await seen(both, a="one", ask="it", look="there")
    assert (more(NO_ABILITIES), more(ABLE), more(both)) == ([], [], ["ask", "look"])

    await seen(ABLE, a="one", ask="it")
    await seen(roots, a="one", look="there", ask="it")
    assert (more(NO_ABILITIES), more(ABLE), more(roots)) == ([], ["ask"], ["ask", "look"])
    assert seen.news == [False, True, True, True]

    await seen(both, a="one", look="elsewhere")
    assert more(both) == []
    await seen(a="one", ask="it")
    assert (more(ABLE), seen.news[-1]) == ([], True)


async def test_a_first_sight_by_another_client_excuses_no_change(seen: Told) -> None:
    await seen(a="one")

    assert await seen(ABLE, a="other", ask="it") == []
    assert seen.waiting == ({"a", "ask"}, set())


async def test_accepting_takes_in_what_waits_and_forgets_what_is_gone(seen: Told) -> None:
    await seen(a="one", b="two")
    await seen(a="other", c="three")
    before = seen.pins.revision

    await seen.pins.accept(["a", "b", "nothing"])

    assert seen.waiting == ({"c"}, set())
    assert set(seen.pins.accepted) == {"a"}
    assert seen.pins.revision != before
    assert await seen(a="other", c="three") == ["a"]


async def test_trust_takes_everything(seen: Told) -> None:
    await seen(a="one")
    seen.pins.trusts_changes = True

    assert await seen(is_whole=False, a="other", b="two") == ["a", "b"]
    assert seen.waiting == (set(), set())
    assert seen.news == [False, True]
    assert await seen(b="two") == ["b"]
    assert seen.waiting == (set(), set())
    assert set(seen.pins.accepted) == {"b"}


async def test_an_endless_list_is_held_back_and_not_all_of_it_remembered(seen: Told) -> None:
    await seen(a="one")

    assert await seen(a="one", **{f"t{number}": "x" for number in range(MOST_HELD + 500)}) == ["a"]
    assert len(seen.pins.held) == MOST_HELD
    assert await seen(is_whole=False, a="other") == []
    assert "a" in seen.pins.held


@pytest.mark.parametrize(
    ("capabilities", "found"),
    [
        (None, set()),
        ({}, set()),
        ({"sampling": None, "experimental": {"x": {}}}, set()),
        ({"sampling": {}, "roots": {"listChanged": True}}, {"sampling", "roots"}),
        ({"elicitation": {"url": {}, "other": {}}}, {"elicitation", "elicitation.url"}),
    ],
)
def test_abilities_are_what_tools_may_depend_on(capabilities: Any, found: set[str]) -> None:
    assert abilities(capabilities) == found
