"""Which definitions of a server's tools were accepted, and what is held back since they are others."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from hashlib import sha256
from typing import Any

import attrs
from msgspec import Raw

from archestra_gateway.protocol import mcp
from archestra_gateway.protocol.tool_definition import Definition

MOST_HELD = 1000
"""Of new tools; more are held back all the same, and not remembered."""

Abilities = frozenset[str]
"""What a client can do for a server, which may offer more to one who can do more."""

NO_ABILITIES: Abilities = frozenset()

ABILITIES: Mapping[str, tuple[str, ...]] = {
    "sampling": ("tools", "context"),
    "elicitation": ("form", "url"),
    "roots": (),
    "tasks": (),
}


def abilities(capabilities: Any) -> Abilities:
    """Those that a client's `initialize` names, as far as tools may depend on them."""
    if not isinstance(capabilities, dict):
        return frozenset()
    found = {name for name in ABILITIES if capabilities.get(name) is not None}
    parts = {
        f"{name}.{part}"
        for name in found
        if isinstance(capabilities[name], dict)
        for part in ABILITIES[name]
        if capabilities[name].get(part) is not None
    }
    return frozenset(found | parts)


@attrs.frozen
class Pin:
    """A definition, the least able kinds of clients to whom it was shown, and by which conversation."""

    definition: Definition
    shown_to: frozenset[Abilities] = frozenset({NO_ABILITIES})
    conversation: int = 0

    def is_for(self, client: Abilities) -> bool:
        """Whether one who can do no more was shown it."""
        return any(kind <= client for kind in self.shown_to)

    def shown(self, client: Abilities) -> "Pin":
        kinds = {kind for kind in self.shown_to if not client <= kind}
        return attrs.evolve(self, shown_to=frozenset({*kinds, client}))


async def _nowhere(is_news: bool) -> None:
    """What is not kept is forgotten with the process."""


@attrs.define(eq=False)
class Pins:
    """Of one server. The first sight is accepted, and the first for a client of other abilities too.

    `held` are new and changed tools, `gone` those that were accepted and are not offered any more.
    `keep` hears of every change, and whether it is news to people.
    """

    accepted: Mapping[str, Pin] = attrs.field(factory=dict)
    held: Mapping[str, Pin] = attrs.field(factory=dict)
    gone: frozenset[str] = frozenset()
    sights: frozenset[Abilities] = frozenset()
    trusts_changes: bool = False
    keep: Callable[[bool], Awaitable[None]] = _nowhere
    count: int | None = None
    version: int = 0
    _last_conversation: int = 0

    def new_conversation(self) -> int:
        """Its number. What one of them showed, only itself or a later one takes back."""
        self._last_conversation += 1
        return self._last_conversation

    async def observe(
        self, items: Iterable[Raw], seen_by: Abilities, conversation: int = 0, *, is_whole: bool
    ) -> list[Raw]:
        """Those of a listing, or of one page of it, that may be shown."""
        kept, is_changed, is_news = self._judge(items, seen_by, conversation, is_whole=is_whole)
        if is_changed:
            await self._changed(is_news=is_news)
        return kept

    def more_for(self, client: Abilities) -> list[Definition]:
        """Accepted tools that are shown to such a client, and not to one who can do nothing."""
        return [
            pin.definition
            for name, pin in self.accepted.items()
            if not pin.is_for(NO_ABILITIES)
            and pin.is_for(client)
            and name not in self.held
            and name not in self.gone
        ]

    def shows(self, item: Raw) -> bool:
        """Whether exactly this was accepted, and nothing else is said under its name."""
        definition = self._read(item)
        return definition is not None and self._shows(definition)

    async def accept(self, names: Iterable[str]) -> None:
        """Of what is held back or gone, these."""
        wanted = frozenset(names) & (self.held.keys() | self.gone)
        if not wanted:
            return
        self._take({name: pin for name, pin in self.held.items() if name in wanted})
        self.held = {name: pin for name, pin in self.held.items() if name not in wanted}
        self._forget(self.gone & wanted)
        await self._changed(is_news=True)

    @property
    def revision(self) -> str:
        """Another one whenever something else waits to be accepted."""
        return sha256(repr(self._waiting()).encode()).hexdigest()[:16]

    def _judge(
        self, items: Iterable[Raw], seen_by: Abilities, conversation: int, *, is_whole: bool
    ) -> tuple[list[Raw], bool, bool]:
        """What may be shown, whether anything is other than before, and whether that is news."""
        waited, accepted, sights = self._waiting(), self.accepted, self.sights
        listing = [(each, item) for item in items if (each := self._read(item)) is not None]
        definitions = [each for each, _ in listing]
        strange = self._strange(definitions, seen_by, conversation)
        is_first = is_whole and bool(listing) and seen_by not in sights and not self._changes(strange)
        if is_first or self.trusts_changes:
            self._take(strange)
            self.sights |= {seen_by}
            strange = {} if self.trusts_changes else self._strange(definitions, seen_by, conversation)
        listed = {each.name for each in definitions}
        if is_whole:
            self._settle(listed, seen_by, conversation)
        self._hold({**self.held, **strange})
        self.gone -= listed
        if self.trusts_changes:
            self._forget(self.gone)
        kept = [item for each, item in listing if self._shows(each)]
        if is_whole:
            self.count = len(kept)
        is_news = self._waiting() != waited or (bool(sights) and self.accepted is not accepted)
        is_wider = self._widen([each for each, _ in listing], seen_by)
        is_news |= is_wider and seen_by != NO_ABILITIES
        return kept, is_news or is_wider or self.sights != sights, is_news

    def _settle(self, listed: set[str], seen_by: Abilities, conversation: int) -> None:
        """A whole listing has the last word about what such a client was shown until then."""
        self.held = {
            name: pin
            for name, pin in self.held.items()
            if pin.conversation > conversation or not pin.is_for(seen_by)
        }
        self.gone = frozenset(
            name for name, pin in self.accepted.items() if self._misses(name, pin, listed, seen_by)
        )

    def _misses(self, name: str, pin: Pin, listed: set[str], seen_by: Abilities) -> bool:
        return name not in listed if pin.is_for(seen_by) else name in self.gone

    def _widen(self, definitions: Iterable[Definition], seen_by: Abilities) -> bool:
        """Note who is shown what was accepted; whether that is more than was known."""
        wider = {
            each.name: pin.shown(seen_by)
            for each in definitions
            if self._has(each) and not (pin := self.accepted[each.name]).is_for(seen_by)
        }
        self._take(wider)
        return bool(wider)

    def _strange(
        self, definitions: Iterable[Definition], seen_by: Abilities, conversation: int
    ) -> dict[str, Pin]:
        found: dict[str, Pin] = {}
        for each in definitions:
            if not self._has(each):
                found.setdefault(each.name, Pin(each, frozenset({seen_by}), conversation))
        return found

    def _changes(self, strange: Iterable[str]) -> bool:
        return any(name in self.accepted for name in strange)

    def _has(self, definition: Definition) -> bool:
        pin = self.accepted.get(definition.name)
        return pin is not None and pin.definition.digest == definition.digest

    def _shows(self, definition: Definition) -> bool:
        return definition.name not in self.held and self._has(definition)

    def _take(self, pins: Mapping[str, Pin]) -> None:
        if pins:
            self.accepted = {**self.accepted, **pins}

    def _hold(self, pins: Mapping[str, Pin]) -> None:
        """All changed ones, and of the new ones, of which there is no end, so many."""
        changed = {name: pin for name, pin in pins.items() if name in self.accepted}
        new = [each for each in pins.items() if each[0] not in changed]
        self.held = {**changed, **dict(new[:MOST_HELD])}

    def _forget(self, names: frozenset[str]) -> None:
        if names:
            self.accepted = {name: pin for name, pin in self.accepted.items() if name not in names}
            self.gone -= names

    def _read(self, item: Raw) -> Definition | None:
        """Most often it is, byte by byte, what was accepted."""
        name = mcp.member(item, "name")
        pin = self.accepted.get(name) if isinstance(name, str) else None
        if pin is not None and pin.definition.text == item:
            return pin.definition
        return Definition.read(item)

    def _waiting(self) -> tuple[list[tuple[str, str]], list[str]]:
        held = sorted((name, pin.definition.digest) for name, pin in self.held.items())
        return held, sorted(self.gone)

    async def _changed(self, *, is_news: bool) -> None:
        self.version += 1
        await self.keep(is_news)
