"""Ollama: models on this machine, without a key."""

from archestra_gateway.providers import ollama_chat
from archestra_gateway.providers.kind import Kind, bearer

OLLAMA = Kind(
    name="ollama",
    default_url="http://127.0.0.1:11434",
    credentials=bearer,
    takes_client_key=False,
    dialect=ollama_chat.DIALECT,
    how_to_reach=(
        "Ollama is not running at {url}. Start it with `ollama serve`, or install it from "
        "https://ollama.com/download; `archestra-gateway embedded install` brings a small model that "
        "runs without it"
    ),
)
