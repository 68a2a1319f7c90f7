"""What an LLM provider's key is called in the vault."""

KEY = "api_key"


def owner(name: str) -> str:
    return f"llm_provider:{name}"
