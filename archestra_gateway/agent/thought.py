"""How a thought with its seal travels through a client, as the AI SDK's own provider has it. Pure."""

from typing import Any

from archestra_gateway.providers.conversation import Thought

OWNER, SIGNATURE, REDACTED = "anthropic", "signature", "redactedData"


def seal(thought: Thought) -> dict[str, Any]:
    """The `providerMetadata` of its part."""
    return {OWNER: {REDACTED: thought.redacted} if thought.redacted else {SIGNATURE: thought.signature}}


def read(part: dict[str, Any]) -> Thought | None:
    """None for reasoning that nobody sealed."""
    metadata = part.get("providerMetadata")
    found = metadata.get(OWNER) if isinstance(metadata, dict) else None
    if not isinstance(found, dict):
        return None
    signature, redacted = (found.get(key) for key in (SIGNATURE, REDACTED))
    if isinstance(redacted, str) and redacted:
        return Thought(redacted=redacted)
    return Thought(str(part.get("text", "")), signature) if isinstance(signature, str) and signature else None
