"""Anthropic: a key in a header of its own, and a version that is mandatory."""

from archestra_gateway.providers import anthropic_messages
from archestra_gateway.providers.kind import Headers, Kind


def _credentials(api_key: str) -> Headers:
    return [("X-Api-Key", api_key)]


ANTHROPIC = Kind(
    name="anthropic",
    default_url="https://api.anthropic.com",
    credentials=_credentials,
    takes_client_key=True,
    dialect=anthropic_messages.DIALECT,
    how_to_reach="The provider {name} can not be reached at {url}. Check its base_url and the network",
    defaults=(("anthropic-version", "2023-06-01"),),
)
