"""What each client sees now, made once for each change of what is there."""

import attrs

from archestra_gateway.services import mcp_own_prompts as own_prompts
from archestra_gateway.services import mcp_own_tools as own_tools
from archestra_gateway.services.mcp_catalogue import Catalogue
from archestra_gateway.services.mcp_view import View, Visibility, view


@attrs.frozen(eq=False)
class Views:
    """`is_plain` leaves servers' names out where that is unambiguous."""

    _catalogue: Catalogue
    _is_plain: bool
    _made: dict[tuple[int, Visibility], View] = attrs.field(factory=dict)

    def of(self, visibility: Visibility) -> View:
        key = self._catalogue.version, visibility
        if key not in self._made:
            for stale in [old for old in self._made if old[0] != key[0]]:
                del self._made[stale]
            self._made[key] = view(
                self._catalogue.now(),
                self._catalogue.filters,
                visibility,
                is_plain=self._is_plain,
                taken=own_tools.NAMES | own_prompts.NAMES,
            )
        return self._made[key]
