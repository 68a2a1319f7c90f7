"""Where servers to install are described, besides the catalog: each source as recipes."""

import attrs

from archestra_gateway.catalog import command_line, pasted
from archestra_gateway.catalog.command_line import NotACommand
from archestra_gateway.catalog.pasted import NotAConfig
from archestra_gateway.catalog.recipe import Recipe
from archestra_gateway.errors import NotFound, ValidationFailed
from archestra_gateway.schemas.catalog import ClientServers, ImportMcpServers
from archestra_gateway.services.catalog import recipe_of_document
from archestra_gateway.services.catalog_input import with_examples_asked
from archestra_gateway.services.external_mcp_client_file import ClientFiles


@attrs.frozen
class Sources:
    _clients: ClientFiles

    async def recipes(self, wanted: ImportMcpServers) -> list[Recipe]:
        """Everything but bundles. Raises ValidationFailed where nothing can be read out of it."""
        if wanted.client is not None:
            return await self._of_client(wanted.client)
        try:
            if wanted.config is not None:
                return [with_examples_asked(recipe) for recipe in pasted.read(wanted.config)]
            if wanted.command is not None:
                return [with_examples_asked(command_line.read(wanted.command))]
            if wanted.url is not None:
                return [command_line.of_url(wanted.url, {})]
        except (NotAConfig, NotACommand, ValueError) as error:
            raise _wrong("config" if wanted.config is not None else "command", str(error)) from error
        document = wanted.server_json or {}
        if "server" in document:  # as the registry's API wraps it
            document = document["server"] if isinstance(document["server"], dict) else {}
        return [recipe_of_document(document, wanted.variant)]

    async def _of_client(self, client: ClientServers) -> list[Recipe]:
        found = await self._clients.found(client.client_name)
        chosen = client.servers if client.servers is not None else list(found)
        missing = [name for name in chosen if name not in found]
        if missing:
            raise NotFound(f"{client.client_name} has no server named {missing[0]}", server=missing[0])
        if not chosen:
            raise NotFound(f"{client.client_name} has no servers of its own", client=client.client_name)
        return [pasted.of_found(found[name]) for name in chosen]


def _wrong(field: str, sentence: str) -> ValidationFailed:
    return ValidationFailed(sentence, fields={field: f"`{field}`: {sentence}"})
