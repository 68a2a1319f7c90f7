"""Every kind of LLM provider; adding one is adding a row."""

from archestra_gateway.providers.anthropic import ANTHROPIC
from archestra_gateway.providers.kind import Kind
from archestra_gateway.providers.ollama import OLLAMA
from archestra_gateway.providers.openai import OPENAI

KINDS: dict[str, Kind] = {kind.name: kind for kind in (OLLAMA, OPENAI, ANTHROPIC)}
