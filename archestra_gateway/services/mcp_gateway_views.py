"""What each kind of client sees now, made once for each change of what is there."""

import attrs

from archestra_gateway.services import mcp_own_prompts as own_prompts
from archestra_gateway.services import mcp_own_tools as own_tools
from archestra_gateway.services.mcp_catalogue import Catalogue
from archestra_gateway.services.mcp_view import View, Visibility, view
from archestra_gateway.upstreams.pins import NO_ABILITIES, Abilities


@attrs.frozen(eq=False)
class Views:
    """`is_plain` leaves servers' names out where that is unambiguous."""

    _catalogue: Catalogue
    _is_plain: bool
    _made: dict[tuple[int, Visibility, Abilities], View] = attrs.field(factory=dict)

    def of(self, visibility: Visibility, abilities: Abilities = NO_ABILITIES) -> View:
        key = self._catalogue.version, visibility, abilities
        if key not in self._made:
            for stale in [old for old in self._made if old[0] != key[0]]:
                del self._made[stale]
            self._made[key] = self._make(visibility, abilities)
        return self._made[key]

    def _make(self, visibility: Visibility, abilities: Abilities) -> View:
        offered = self._catalogue.now(abilities)
        if abilities and offered == self._catalogue.now():
            return self.of(visibility)
        return view(
            offered,
            self._catalogue.filters,
            visibility,
            is_plain=self._is_plain,
            taken=own_tools.NAMES | own_prompts.NAMES,
        )
