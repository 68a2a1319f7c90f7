"""The model that the gateway runs itself; it speaks as OpenAI does."""

from typing import Any

import attrs

from archestra_gateway.providers import openai_chat
from archestra_gateway.providers.conversation import Prompt
from archestra_gateway.providers.kind import Kind, bearer

LIBRARY = "xllamacpp"
CONTEXT = 8192
BRIEF = 32


def body(prompt: Prompt) -> dict[str, Any]:
    """Small models do not find their own end."""
    wanted = openai_chat.body(prompt)
    return {**wanted, "max_tokens": BRIEF} if prompt.is_brief else wanted


EMBEDDED = Kind(
    name="openai",
    default_url="http://127.0.0.1",
    credentials=bearer,
    takes_client_key=False,
    dialect=attrs.evolve(openai_chat.DIALECT, body=body, models_path="/v1/models"),
    how_to_reach="The embedded model has ended; the next call starts it again",
    context=CONTEXT,
)
"""A model of a person's own; its port is known when it has started."""

DEMONSTRATION = attrs.evolve(
    EMBEDDED,
    takes_tools=False,
    notice=(
        "This answer comes from SmolLM2-135M-Instruct, a small demonstration model without tools. "
        "For real work run Ollama (https://ollama.com/download) or add a provider"
    ),
)
