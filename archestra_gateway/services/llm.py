"""Calls to LLM providers: what place a name means, which credentials go there, and Ollama's start."""

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.services.llm_provider import LlmProviders, Provider
from archestra_gateway.upstreams.http_client import HttpClient
from archestra_gateway.upstreams.ollama import Ollama
from archestra_gateway.upstreams.origin import StreamedBody
from archestra_gateway.upstreams.response import Response


@attrs.frozen
class Llm:
    """`ollama` is there when it may be started; `gateway_token` is what never goes to a provider."""

    _providers: LlmProviders
    _http: HttpClient
    _ollama: Ollama | None
    _gateway_token: str = attrs.field(repr=False)

    async def send(
        self, name: str, method: str, target: str, headers: list[tuple[str, str]], body: bytes | StreamedBody
    ) -> Response:
        """The provider's answer as soon as its head is here; `target` is below the provider's base URL."""
        provider = self._providers.get(name)
        headers = provider.kind.authorized(headers, provider.api_key, self._gateway_token)
        target = provider.base_path + target
        try:
            return await self._http.send(method, provider.origin, target, headers, body)
        except UpstreamUnavailable as error:
            if not await self._start(provider):
                raise self._unavailable(provider) from error
        return await self._http.send(method, provider.origin, target, headers, body)

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
