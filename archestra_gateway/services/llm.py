"""Calls to LLM providers: what place a name means, which credentials go there, and Ollama's start."""

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.services.llm_provider import EMBEDDED, OLLAMA, LlmProviders, Provider
from archestra_gateway.upstreams.embedded import Embedded
from archestra_gateway.upstreams.http_client import HttpClient
from archestra_gateway.upstreams.ollama import Ollama, accepts
from archestra_gateway.upstreams.origin import StreamedBody
from archestra_gateway.upstreams.response import Response


@attrs.frozen
class Llm:
    """`ollama` and `embedded` are there when they may be started; the gateway's token never goes out."""

    _providers: LlmProviders
    _http: HttpClient
    _ollama: Ollama | None
    _gateway_token: str = attrs.field(repr=False)
    _embedded: Embedded | None = None

    async def send(
        self, name: str, method: str, target: str, headers: list[tuple[str, str]], body: bytes | StreamedBody
    ) -> Response:
        """The provider's answer as soon as its head is here; `target` is below the provider's base URL."""
        provider = self._providers.get(name)
        if self._embedded is not None and name == EMBEDDED:
            running = await self._embedded.start()
            provider = attrs.evolve(provider, origin=running.origin, api_key=running.key)
        headers = provider.kind.authorized(headers, provider.api_key, self._gateway_token)
        target = provider.base_path + target
        try:
            return await self._http.send(method, provider.origin, target, headers, body)
        except UpstreamUnavailable as error:
            if not await self._start(provider):
                raise self._unavailable(provider) from error
        return await self._http.send(method, provider.origin, target, headers, body)

    async def usual(self, name: str) -> str:
        """The provider for who names none: the embedded model where Ollama is not running."""
        if name != OLLAMA or self._ollama is not None:
            return name
        if self._embedded is None or not self._embedded.is_available:
            return name
        is_running = await accepts(self._providers.get(name).origin)
        return name if is_running else EMBEDDED

    async def _start(self, provider: Provider) -> bool:
        """Where nobody accepted the connection nothing has been sent, so it can be sent afterwards."""
        if self._ollama is None or not provider.is_builtin or self._http.is_closed:
            return False
        await self._ollama.start()
        return True

    def _unavailable(self, provider: Provider) -> UpstreamUnavailable:
        if self._http.is_closed:
            return UpstreamUnavailable("The gateway is stopping")
        message = provider.kind.unreachable(provider.name, provider.base_url)
        return UpstreamUnavailable(message, provider=provider.name)

    def stop(self) -> None:
        """Cut every stream that runs: its client must see that it broke."""
        self._http.close()
