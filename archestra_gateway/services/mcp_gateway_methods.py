"""What each MCP method does on /mcp, whatever era the client is of."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from archestra_gateway.errors import GatewayError, NotFound
from archestra_gateway.protocol import jsonrpc, mcp, modern, parameter_headers
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern import InvalidParams
from archestra_gateway.services import mcp_own_prompts as own_prompts
from archestra_gateway.services import mcp_own_resources as own_resources
from archestra_gateway.services import mcp_own_tools as own_tools
from archestra_gateway.services.mcp_catalogue import Catalogue
from archestra_gateway.services.mcp_gateway_caller import (
    Caller,
    no_such_method,
    no_such_resource,
    result,
    text,
    unwrapped,
    with_parameter,
)
from archestra_gateway.services.mcp_gateway_session import GatewaySession
from archestra_gateway.services.mcp_gateway_views import Views
from archestra_gateway.services.mcp_gateway_wishes import MOST_WATCHED
from archestra_gateway.services.mcp_modern_request import Request, named
from archestra_gateway.services.mcp_own import Own, Tool, Visit
from archestra_gateway.services.mcp_own_uris import NAME, SERVER, is_own
from archestra_gateway.services.mcp_rounds import Rounds
from archestra_gateway.services.mcp_view import Target, View, Visibility
from archestra_gateway.upstreams.dialogue import Call
from archestra_gateway.upstreams.watched import Watched

log = logging.getLogger(__name__)

UNAVAILABLE = "archestra/unavailable_servers"
"""In a list's `_meta`: which servers it lacks, and why."""

CAPABILITIES: Mapping[str, Any] = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {"listChanged": True},
    "logging": {},
    "completions": {},
}
INSTRUCTIONS = (
    "This is Archestra's gateway. It offers the tools, resources and prompts of the MCP servers behind it, "
    "and a few of its own."
)
LONGEST_INSTRUCTIONS = 2000


@attrs.frozen(eq=False)
class Methods:
    _catalogue: Catalogue
    _own: Own
    _views: Views
    _rounds: Rounds
    _is_progressive: bool

    async def answer(self, caller: Caller, message: Message) -> Message:
        """What goes wrong is an answer too: an HTTP status would say that the session is broken."""
        caller.entry.server_name = NAME
        method = _METHODS.get(mcp.method(message))
        if method is None:
            return no_such_method(message)
        try:
            return await method(self, caller, message)
        except GatewayError as error:
            return jsonrpc.failure(message.get("id"), error)

    def instructions(self, visibility: Visibility) -> str:
        """Ours, and those of the servers that are known."""
        theirs = self._views.of(visibility).instructions
        parts = [f"# {name}\n\n{text[:LONGEST_INSTRUCTIONS]}" for name, text in theirs.items()]
        return "\n\n".join([INSTRUCTIONS, *parts])

    async def list_tools(self, caller: Caller, message: Message) -> Message:
        visit, meta = await self._visit_all(caller)
        if self._is_progressive:
            return result(message, {"tools": own_tools.listed(own_tools.PROGRESSIVE, visit), **meta})
        mine = own_tools.listed(own_tools.TOOLS, visit)
        return result(message, {"tools": [*mine, *visit.view.lists["tools"]], **meta})

    async def list_prompts(self, caller: Caller, message: Message) -> Message:
        visit, meta = await self._visit_all(caller)
        prompts = [*own_prompts.listed(visit), *visit.view.lists["prompts"]]
        return result(message, {"prompts": prompts, **meta})

    async def list_resources(self, caller: Caller, message: Message) -> Message:
        visit, meta = await self._visit_all(caller)
        resources = [*own_resources.listed(visit), *visit.view.lists["resources"]]
        return result(message, {"resources": resources, **meta})

    async def list_templates(self, caller: Caller, message: Message) -> Message:
        visit, meta = await self._visit_all(caller)
        templates = [*own_resources.TEMPLATES, *visit.view.lists["resourceTemplates"]]
        return result(message, {"resourceTemplates": templates, **meta})

    async def call_tool(self, caller: Caller, message: Message) -> Message:
        name = mcp.tool_name(message.get("params"))
        if name == own_tools.CALL_TOOL.name:
            message = unwrapped(message)
            name = mcp.tool_name(message.get("params"))
        caller.entry.tool_name = name
        if name in own_tools.NAMES:
            return await self._call_own_tool(caller, message, own_tools.BY_NAME[name])
        target = await self._find(caller, lambda view: view.tools, name)
        if target is None:
            raise self._catalogue.refusal(name or "", caller.visibility) or InvalidParams(
                f"There is no tool named {name}", name=name
            )
        caller.entry.tool_name = target.item.name
        if caller.parameters is not None and b"x-mcp-header" in bytes(target.item.text):
            arguments = mcp.member(message.get("params"), "arguments")
            wanted = parameter_headers.wanted(target.item.value().get("inputSchema"))
            parameter_headers.check(wanted, arguments, caller.parameters)
        return await self._ask(caller, target.server, with_parameter(message, "name", target.item.name))

    async def get_prompt(self, caller: Caller, message: Message) -> Message:
        name = mcp.tool_name(message.get("params"))
        if name is not None and name in own_prompts.NAMES:
            arguments = mcp.member(message.get("params"), "arguments") or {}
            prompt = await own_prompts.get(self._own, self.visit(caller), name, arguments)
            if prompt is not None:
                return result(message, prompt)
        target = await self._find(caller, lambda view: view.prompts, name)
        if target is None:
            raise InvalidParams(f"There is no prompt named {name}", name=name)
        return await self._ask(caller, target.server, with_parameter(message, "name", target.item.name))

    async def read_resource(self, caller: Caller, message: Message) -> Message:
        uri = text(message, "uri")
        try:
            mine = await own_resources.read(self._own, self.visit(caller), uri)
        except NotFound:
            return no_such_resource(message, uri)
        if mine is not None:
            return result(message, mine)
        return await self._ask_owner(caller, message, uri)

    async def subscribe(self, caller: Caller, message: Message) -> Message:
        if caller.session is None:
            raise InvalidParams("A subscription belongs to a session: `initialize` first")
        uri, wishes = text(message, "uri"), caller.session.wishes
        if wishes.is_full:
            raise InvalidParams(f"A session subscribes to {MOST_WATCHED} resources at most")
        if not is_own(uri):
            return await self._ask_owner(caller, message, uri)
        if not self.may_watch(caller, uri):
            return no_such_resource(message, uri)
        wishes.watch_own(uri, self.visit(caller).client)
        return result(message, {})

    async def unsubscribe(self, caller: Caller, message: Message) -> Message:
        uri = text(message, "uri")
        if caller.session is not None:
            await caller.session.unsubscribe(uri)
        return result(message, {})

    async def complete(self, caller: Caller, message: Message) -> Message:
        reference = mcp.member(message.get("params"), "ref")
        reference = reference if isinstance(reference, dict) else {}
        if reference.get("type") == "ref/prompt":
            name = reference.get("name")
            target = await self._find(caller, lambda view: view.prompts, name)
            if target is not None:
                renamed = {**reference, "name": target.item.name}
                return await self._ask(caller, target.server, with_parameter(message, "ref", renamed))
        else:
            target = await self._find(caller, lambda view: view.templates, reference.get("uri"))
            if target is not None:
                return await self._ask(caller, target.server, message)
        return result(message, {"completion": {"values": self._complete_own(caller, message, reference)}})

    async def set_level(self, caller: Caller, message: Message) -> Message:
        level = text(message, "level")
        if level not in mcp.LOG_LEVELS:
            raise InvalidParams(f"There is no log level {level}: it is one of {', '.join(mcp.LOG_LEVELS)}")
        if caller.session is not None:
            await caller.session.set_level(level)
        return result(message, {})

    async def ping(self, caller: Caller, message: Message) -> Message:
        return result(message, {})

    async def discover(self, caller: Caller, message: Message) -> Message:
        said = {
            "supportedVersions": list(modern.SUPPORTED),
            "capabilities": CAPABILITIES,
            "instructions": self.instructions(caller.visibility),
        }
        return result(message, said)

    def resume(self, session: GatewaySession) -> None:
        """What a session asked for before it slept."""
        session.resume(self._own.servers.find)

    def may_watch(self, caller: Caller, uri: str) -> bool:
        """Whether it is a resource of the gateway's own that the client may read."""
        return own_resources.may_watch(self._own, self.visit(caller), uri)

    async def watch_resource(self, visibility: Visibility, uri: str) -> Watched | None:
        """Where its server was asked to tell when it changes, for clients without a session."""
        for owner in self._views.of(visibility).owners(uri):
            watched = self._own.servers.find(owner).watched
            if await watched.add(uri):
                return watched
        return None

    async def _call_own_tool(self, caller: Caller, message: Message, tool: Tool) -> Message:
        arguments = mcp.member(message.get("params"), "arguments") or {}
        try:
            value = await tool.call(self._own, self.visit(caller), arguments)
        except GatewayError as error:
            caller.entry.error_message = error.message
            return result(message, own_tools.failure(error.message))
        return result(message, own_tools.result(value))

    async def _ask(self, caller: Caller, name: str, message: Message) -> Message:
        """Of the session's own conversation with the server, or of the one that all share."""
        caller.entry.server_name = name
        server = self._own.servers.find(name)
        call = Call(message, caller.listener)
        if caller.session is not None:
            return await caller.session.request(server, call)
        if caller.envelope is not None:
            request = Request(named(caller.entry), server, message, caller.envelope, caller.listener)
            return await self._rounds.ask(request)
        upstream = await server.shared()
        return await upstream.call(call)

    async def _ask_owner(self, caller: Caller, message: Message, uri: str) -> Message:
        """Of whoever may have the resource, until one has it."""
        owners = self._views.of(caller.visibility).owners(uri)
        if not owners:
            visit, _ = await self._visit_all(caller)
            owners = visit.view.owners(uri)
        for owner in owners:
            answer = await self._ask(caller, owner, message)
            if "result" in answer:
                return answer
        return no_such_resource(message, uri)

    async def _find(
        self, caller: Caller, of: Callable[[View], Mapping[str, Target]], name: Any
    ) -> Target | None:
        """Among what is known; servers are asked only when it is not there."""
        if not isinstance(name, str):
            return None
        target = of(self._views.of(caller.visibility, caller.abilities)).get(name)
        if target is None:
            visit, _ = await self._visit_all(caller)
            target = of(visit.view).get(name)
        return target

    async def _visit_all(self, caller: Caller) -> tuple[Visit, dict[str, Any]]:
        """With everything that servers can tell in time, and which could not."""
        _, problems = await self._catalogue.all()
        shown = {name: why for name, why in problems.items() if caller.visibility.shows_server(name)}
        return self.visit(caller), {"_meta": {UNAVAILABLE: shown}} if shown else {}

    def visit(self, caller: Caller) -> Visit:
        client = caller.visibility.client or caller.entry.client_info.get("client_name") or "default"
        view = self._views.of(caller.visibility, caller.abilities)
        return Visit(client, caller.visibility, view, caller.may_administer)

    def _complete_own(self, caller: Caller, message: Message, reference: Mapping[str, Any]) -> list[str]:
        """Names of servers, which is all that our own prompts and templates ask for."""
        if reference.get("name") not in own_prompts.NAMES and reference.get("uri") != SERVER:
            return []
        argument = mcp.member(message.get("params"), "argument")
        begun = argument.get("value") if isinstance(argument, dict) else ""
        names = [known.server.name for known in self._own.servers.known()]
        return [
            name for name in names if caller.visibility.shows_server(name) and name.startswith(str(begun))
        ]


Method = Callable[[Methods, Caller, Message], Awaitable[Message]]

_METHODS: Mapping[str, Method] = {
    "ping": Methods.ping,
    "tools/list": Methods.list_tools,
    "tools/call": Methods.call_tool,
    "prompts/list": Methods.list_prompts,
    "prompts/get": Methods.get_prompt,
    "resources/list": Methods.list_resources,
    "resources/templates/list": Methods.list_templates,
    "resources/read": Methods.read_resource,
    "resources/subscribe": Methods.subscribe,
    "resources/unsubscribe": Methods.unsubscribe,
    "completion/complete": Methods.complete,
    "logging/setLevel": Methods.set_level,
    modern.DISCOVER: Methods.discover,
}
