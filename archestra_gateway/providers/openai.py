"""OpenAI, and every server that speaks its API."""

from archestra_gateway.providers import openai_chat
from archestra_gateway.providers.kind import Kind, bearer

OPENAI = Kind(
    name="openai",
    default_url="https://api.openai.com",
    credentials=bearer,
    takes_client_key=True,
    dialect=openai_chat.DIALECT,
    how_to_reach="The provider {name} can not be reached at {url}. Check its base_url and the network",
)
