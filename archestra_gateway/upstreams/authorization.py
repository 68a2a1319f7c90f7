"""The seam between a remote server and whoever logs in there."""

from collections.abc import Mapping
from typing import Protocol

import attrs

from archestra_gateway.schemas.oauth import Authorization as Shown


@attrs.frozen
class Refusal:
    """A 401 or 403. `sent` are the headers that did not help; `is_second` when new ones did not help."""

    url: str
    status: int
    challenges: tuple[str, ...]
    sent: Mapping[str, str] = attrs.field(repr=False)
    is_second: bool


class Authorization(Protocol):
    """One server's. Every method may raise AuthorizationNeeded: only a person can go on."""

    async def headers(self, url: str) -> Mapping[str, str]:
        """What a request to this URL carries; nothing where there is no login."""

    async def renewed(self, refusal: Refusal) -> bool:
        """Whether the request is worth a second try, with new headers."""

    def worked(self) -> None:
        """The server took a request, with a login or without."""

    async def forget(self) -> None:
        """The server is gone, or is another one from now on."""

    def shown(self) -> Shown | None: ...


class NoAuthorization:
    """For a server of whose logins nobody takes care."""

    async def headers(self, url: str) -> Mapping[str, str]:
        return {}

    async def renewed(self, refusal: Refusal) -> bool:
        return False

    def worked(self) -> None:
        pass

    async def forget(self) -> None:
        pass

    def shown(self) -> Shown | None:
        return None
