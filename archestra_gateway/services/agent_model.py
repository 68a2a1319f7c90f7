"""Model calls of the agent: through the provider table and the pooled client that the relay uses too."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import attrs
import msgspec

from archestra_gateway.agent.loop import ThinkingRefused, ToolsRefused
from archestra_gateway.config import AgentConfig
from archestra_gateway.errors import GatewayError, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from archestra_gateway.log import Redactor
from archestra_gateway.protocol.plain_json import decoded
from archestra_gateway.providers.conversation import ModelEvent, Prompt, Thinking
from archestra_gateway.providers.dialect import error_text, refuses_thinking, refuses_tools
from archestra_gateway.services.agent_log import Calls
from archestra_gateway.services.llm import Llm
from archestra_gateway.services.llm_provider import LlmProviders, Provider
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.upstreams.response import Response

HEADERS = [("Content-Type", "application/json"), ("Accept", "*/*")]
LONGEST_ERROR = 64 * 1024
LONGEST_LIST = 4 * 1024 * 1024
SHOWING = 3.0
"""Seconds that a provider has to describe a model."""


@attrs.frozen
class Models:
    """Remembers of models that they can not use tools, how many tokens they take, and how they think."""

    _llm: Llm
    _providers: LlmProviders
    _redactor: Redactor
    _config: AgentConfig
    _without_tools: set[tuple[str, str]] = attrs.field(factory=set)
    _contexts: dict[tuple[str, str], int] = attrs.field(factory=dict)
    _instead: dict[tuple[str, str, Thinking], Thinking] = attrs.field(factory=dict)

    async def provider(self, name: str | None, model: str | None) -> Provider:
        """Raises NotFound. Who names a model means it: no other provider is taken in its place."""
        if name is None and not model and not self._config.model:
            name = await self._llm.usual(self._config.provider)
        return self._providers.get(name or self._config.provider)

    async def model(self, provider: Provider, wanted: str | None) -> str:
        """The name of the model to ask. Raises UpstreamUnavailable where there is none."""
        is_default = provider.name == self._config.provider
        if name := wanted or (self._config.model if is_default else ""):
            return name
        dialect = provider.kind.dialect
        if dialect.models_path is None:
            raise UpstreamUnavailable(dialect.no_model)
        async with await self._send(provider, "GET", dialect.models_path, b"") as response:
            body = await _limited(_pieces(response, self._config.model_timeout), LONGEST_LIST)
        found = decoded(body)
        listed = found.get("models") if isinstance(found, dict) else None
        if response.status != 200 or not isinstance(listed, list):
            raise UpstreamError(
                f"{provider.name} does not list its models: {error_text(response.status, body)}"
            )
        names = [item.get("model") or item.get("name") for item in listed if isinstance(item, dict)]
        if not names or not isinstance(names[0], str):
            raise UpstreamUnavailable(dialect.no_model)
        return names[0]

    async def context(self, provider: Provider, model: str) -> int | None:
        """How many tokens the model takes, as far as that is known."""
        if (
            known := self._config.context
            or provider.kind.context
            or self._contexts.get((provider.name, model))
        ):
            return known
        found = await self._shown_context(provider, model)
        if found is not None:
            self._contexts[provider.name, model] = found
        return found

    async def _shown_context(self, provider: Provider, model: str) -> int | None:
        """A provider that does not tell at once is not waited for: the chat goes on without it."""
        dialect = provider.kind.dialect
        if dialect.show_path is None:
            return None
        asked = msgspec.json.encode({"model": model})
        with contextlib.suppress(GatewayError, TimeoutError):
            async with asyncio.timeout(SHOWING):
                async with await self._send(provider, "POST", dialect.show_path, asked) as response:
                    body = await _limited(_pieces(response, SHOWING), LONGEST_LIST)
            return dialect.context(decoded(body)) if response.status == 200 else None
        return None

    async def ask(
        self, provider: Provider, calls: Calls, prompt: Prompt
    ) -> AsyncGenerator[Sequence[ModelEvent], None]:
        """Events as they come. Raises ToolsRefused, or another GatewayError when there is no answer."""
        can_not = not provider.kind.takes_tools or (provider.name, prompt.model) in self._without_tools
        if prompt.tools and can_not:
            raise ToolsRefused("This model can not use tools")
        instead = self._instead.get((provider.name, prompt.model, prompt.thinking))
        if instead is not None:
            raise ThinkingRefused("This model can not be told so", instead)
        dialect = provider.kind.dialect
        body = dialect.encode(prompt)
        method = f"POST {dialect.path}"
        with calls.recorded(
            kind="llm", server_name=provider.name, method=method, request_body=body[: calls.kept]
        ) as entry:
            async with await self._send(provider, "POST", dialect.path, body) as response:
                entry.status_code = response.status
                entry.response_headers = dict(response.headers)
                pieces = _recorded(_pieces(response, self._config.model_timeout), entry, calls.kept)
                if response.status != 200:
                    raise self._refused(
                        provider, prompt, response.status, await _limited(pieces, LONGEST_ERROR)
                    )
                reader = dialect.reader()
                async with aclosing(pieces):
                    async for piece in pieces:
                        if events := reader.feed(piece):
                            yield events
                if events := reader.end():
                    yield events

    async def _send(self, provider: Provider, method: str, path: str, body: bytes) -> Response:
        """A base URL may have the version in it already, as other programs want it."""
        target = path.removeprefix("/v1") if provider.base_path.endswith("/v1") else path
        seconds = self._config.model_timeout
        try:
            async with asyncio.timeout(seconds):
                return await self._llm.send(provider.name, method, target, HEADERS, body)
        except TimeoutError as error:
            raise _stalled(seconds) from error

    def _refused(self, provider: Provider, prompt: Prompt, status: int, body: bytes) -> UpstreamError:
        message = self._redactor.text(error_text(status, body))
        if prompt.tools and refuses_tools(status, message):
            self._without_tools.add((provider.name, prompt.model))
            return ToolsRefused(message)
        if prompt.thinking != "auto" and refuses_thinking(status, message):
            instead: Thinking = "budget" if prompt.thinking == "on" and "adaptive" in message else "auto"
            self._instead[provider.name, prompt.model, prompt.thinking] = instead
            return ThinkingRefused(message, instead)
        return UpstreamError(
            f"{provider.name} answered {status} for the model {prompt.model}: {message}", status=status
        )


async def _pieces(response: Response, seconds: float) -> AsyncGenerator[bytes, None]:
    chunks = aiter(response)
    while True:
        try:
            async with asyncio.timeout(seconds):
                piece = await anext(chunks, None)
        except TimeoutError as error:
            raise _stalled(seconds) from error
        if piece is None:
            return
        yield piece


async def _recorded(
    pieces: AsyncGenerator[bytes, None], entry: Entry, limit: int
) -> AsyncGenerator[bytes, None]:
    """The entry gets the body's beginning, however far it comes."""
    seen = bytearray()
    try:
        async with aclosing(pieces):
            async for piece in pieces:
                seen += piece[: limit - len(seen)]
                yield piece
    finally:
        entry.response_body = bytes(seen)


async def _limited(pieces: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > limit:
            break
    return bytes(body)


def _stalled(seconds: float) -> UpstreamTimeout:
    return UpstreamTimeout(f"The model sent nothing for {seconds:g} seconds (agent.model_timeout)")
