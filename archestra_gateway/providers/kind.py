"""What sorts of LLM provider there are and how they differ."""

from collections.abc import Callable

import attrs

from archestra_gateway.providers.dialect import Dialect

Headers = list[tuple[str, str]]

CREDENTIALS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key"})


@attrs.frozen
class Kind:
    """`default_url` is where such a provider usually is; the provider's own paths are appended to it.

    `notice` is told with every answer of the agent; `context` is how many tokens its models take, if known.
    """

    name: str
    default_url: str
    credentials: Callable[[str], Headers]
    takes_client_key: bool
    dialect: Dialect
    how_to_reach: str
    defaults: tuple[tuple[str, str], ...] = ()
    takes_tools: bool = True
    notice: str = ""
    context: int | None = None

    def unreachable(self, name: str, url: str) -> str:
        return self.how_to_reach.format(name=name, url=url)

    def authorized(self, headers: Headers, api_key: str | None, gateway_token: str) -> Headers:
        """`headers` with the credentials that this provider gets.

        A stored key takes the place of the client's; without one, the client's own passes where the kind has
        keys. The gateway's token never leaves the gateway.
        """
        sent = [pair for pair in headers if pair[0].lower() not in CREDENTIALS]
        if api_key is not None:
            sent += self.credentials(api_key)
        elif self.takes_client_key:
            sent += [
                (name, value)
                for name, value in headers
                if name.lower() in CREDENTIALS and not (gateway_token and gateway_token in value)
            ]
        if self.defaults:
            names = {name.lower() for name, _ in sent}
            sent += [(name, value) for name, value in self.defaults if name not in names]
        return sent


def bearer(api_key: str) -> Headers:
    return [("Authorization", f"Bearer {api_key}")]
