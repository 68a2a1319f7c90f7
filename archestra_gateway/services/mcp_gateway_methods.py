"""What each MCP method does on /mcp, whatever era the client is of."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs
from msgspec import Raw

from archestra_gateway.config import McpConfig
from archestra_gateway.errors import GatewayError, NotFound
from archestra_gateway.protocol import jsonrpc, mcp, modern
from archestra_gateway.protocol.jsonrpc import Message
from archestra_gateway.protocol.modern import InvalidParams
from archestra_gateway.services import mcp_own_prompts as own_prompts
from archestra_gateway.services import mcp_own_resources as own_resources
from archestra_gateway.services import mcp_own_tools as own_tools
from archestra_gateway.services.mcp_catalogue import Catalogue
from archestra_gateway.services.mcp_gateway_session import GatewaySession
from archestra_gateway.services.mcp_own import NAME, Own, Tool, Visit
from archestra_gateway.services.mcp_request_log import Entry
from archestra_gateway.services.mcp_view import Target, View, Visibility, view
from archestra_gateway.upstreams.dialogue import Call, Listener

log = logging.getLogger(__name__)

RESOURCE_NOT_FOUND = -32002
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
class Caller:
    """Who calls; without a `session` nobody is there to answer a server's questions."""

    visibility: Visibility
    may_administer: bool
    entry: Entry
    listener: Listener | None
    session: GatewaySession | None = None


@attrs.frozen(eq=False)
class Methods:
    _catalogue: Catalogue
    _own: Own
    _config: McpConfig
    _views: dict[tuple[int, Visibility], View] = attrs.field(factory=dict)

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
        theirs = self._view(visibility).instructions
        parts = [f"# {name}\n\n{text[:LONGEST_INSTRUCTIONS]}" for name, text in theirs.items()]
        return "\n\n".join([INSTRUCTIONS, *parts])

    async def list_tools(self, caller: Caller, message: Message) -> Message:
        visit, meta = await self._visit_all(caller)
        if self._config.tool_list == "progressive":
            return _result(message, {"tools": own_tools.listed(own_tools.PROGRESSIVE, visit), **meta})
        mine = own_tools.listed(own_tools.TOOLS, visit)
        return _result(message, {"tools": [*mine, *visit.view.lists["tools"]], **meta})

    async def list_prompts(self, caller: Caller, message: Message) -> Message:
        visit, meta = await self._visit_all(caller)
        prompts = [*own_prompts.listed(visit), *visit.view.lists["prompts"]]
        return _result(message, {"prompts": prompts, **meta})

    async def list_resources(self, caller: Caller, message: Message) -> Message:
        visit, meta = await self._visit_all(caller)
        resources = [*own_resources.listed(visit), *visit.view.lists["resources"]]
        return _result(message, {"resources": resources, **meta})

    async def list_templates(self, caller: Caller, message: Message) -> Message:
        visit, meta = await self._visit_all(caller)
        templates = [*own_resources.TEMPLATES, *visit.view.lists["resourceTemplates"]]
        return _result(message, {"resourceTemplates": templates, **meta})

    async def call_tool(self, caller: Caller, message: Message) -> Message:
        name = mcp.tool_name(message.get("params"))
        if name == own_tools.CALL_TOOL.name:
            message = _unwrapped(message)
            name = mcp.tool_name(message.get("params"))
        caller.entry.tool_name = name
        if name in own_tools.NAMES:
            return await self._call_own_tool(caller, message, own_tools.BY_NAME[name])
        target = await self._find(caller, lambda view: view.tools, name)
        if target is None:
            raise InvalidParams(f"There is no tool named {name}", name=name)
        caller.entry.tool_name = target.item.name
        return await self._ask(caller, target.server, _with(message, "name", target.item.name))

    async def get_prompt(self, caller: Caller, message: Message) -> Message:
        name = mcp.tool_name(message.get("params"))
        if name is not None and name in own_prompts.NAMES:
            arguments = mcp.member(message.get("params"), "arguments") or {}
            prompt = await own_prompts.get(self._own, self._visit(caller), name, arguments)
            if prompt is not None:
                return _result(message, prompt)
        target = await self._find(caller, lambda view: view.prompts, name)
        if target is None:
            raise InvalidParams(f"There is no prompt named {name}", name=name)
        return await self._ask(caller, target.server, _with(message, "name", target.item.name))

    async def read_resource(self, caller: Caller, message: Message) -> Message:
        uri = _text(message, "uri")
        try:
            mine = await own_resources.read(self._own, self._visit(caller), uri)
        except NotFound:
            return _no_such_resource(message, uri)
        if mine is not None:
            return _result(message, mine)
        return await self._ask_owner(caller, message, uri)

    async def subscribe(self, caller: Caller, message: Message) -> Message:
        if caller.session is None:
            raise InvalidParams("A subscription belongs to a session: `initialize` first")
        uri = _text(message, "uri")
        answer = await self._ask_owner(caller, message, uri)
        if "result" in answer:
            caller.session.subscriptions.add(uri)
        return answer

    async def unsubscribe(self, caller: Caller, message: Message) -> Message:
        uri = _text(message, "uri")
        if caller.session is None or uri not in caller.session.subscriptions:
            return _result(message, {})
        caller.session.subscriptions.discard(uri)
        return await self._ask_owner(caller, message, uri)

    async def complete(self, caller: Caller, message: Message) -> Message:
        reference = mcp.member(message.get("params"), "ref")
        reference = reference if isinstance(reference, dict) else {}
        if reference.get("type") == "ref/prompt":
            name = reference.get("name")
            target = await self._find(caller, lambda view: view.prompts, name)
            if target is not None:
                renamed = {**reference, "name": target.item.name}
                return await self._ask(caller, target.server, _with(message, "ref", renamed))
        else:
            target = await self._find(caller, lambda view: view.templates, reference.get("uri"))
            if target is not None:
                return await self._ask(caller, target.server, message)
        return _result(message, {"completion": {"values": self._complete_own(caller, message, reference)}})

    async def set_level(self, caller: Caller, message: Message) -> Message:
        if caller.session is not None:
            await caller.session.set_level(jsonrpc.raw(_text(message, "level")))
        return _result(message, {})

    async def ping(self, caller: Caller, message: Message) -> Message:
        return _result(message, {})

    async def discover(self, caller: Caller, message: Message) -> Message:
        said = {
            "supportedVersions": list(modern.SUPPORTED),
            "capabilities": CAPABILITIES,
            "instructions": self.instructions(caller.visibility),
        }
        return _result(message, said)

    async def watch_resource(self, visibility: Visibility, uri: str) -> None:
        """Ask its server to tell when it changes, for clients without a session."""
        for owner in self._view(visibility).owners(uri):
            upstream = await self._own.servers.find(owner).shared()
            asked = Call(jsonrpc.request(0, "resources/subscribe", {"uri": uri}), is_own=True)
            if "result" in await upstream.call(asked):
                return

    async def _call_own_tool(self, caller: Caller, message: Message, tool: Tool) -> Message:
        arguments = mcp.member(message.get("params"), "arguments") or {}
        try:
            value = await tool.call(self._own, self._visit(caller), arguments)
        except GatewayError as error:
            caller.entry.error_message = error.message
            return _result(message, own_tools.failure(error.message))
        return _result(message, own_tools.result(value))

    async def _ask(self, caller: Caller, name: str, message: Message) -> Message:
        """Of the session's own conversation with the server, or of the one that all share."""
        caller.entry.server_name = name
        server = self._own.servers.find(name)
        call = Call(message, caller.listener)
        if caller.session is not None:
            return await caller.session.request(server, call)
        upstream = await server.shared()
        return await upstream.call(call)

    async def _ask_owner(self, caller: Caller, message: Message, uri: str) -> Message:
        """Of whoever may have the resource, until one has it."""
        owners = self._view(caller.visibility).owners(uri)
        if not owners:
            visit, _ = await self._visit_all(caller)
            owners = visit.view.owners(uri)
        for owner in owners:
            answer = await self._ask(caller, owner, message)
            if "result" in answer:
                return answer
        return _no_such_resource(message, uri)

    async def _find(
        self, caller: Caller, of: Callable[[View], Mapping[str, Target]], name: Any
    ) -> Target | None:
        """Among what is known; servers are asked only when it is not there."""
        if not isinstance(name, str):
            return None
        target = of(self._view(caller.visibility)).get(name)
        if target is None:
            visit, _ = await self._visit_all(caller)
            target = of(visit.view).get(name)
        return target

    async def _visit_all(self, caller: Caller) -> tuple[Visit, dict[str, Any]]:
        """With everything that servers can tell in time, and which could not."""
        _, problems = await self._catalogue.all()
        shown = {name: why for name, why in problems.items() if caller.visibility.shows_server(name)}
        return self._visit(caller), {"_meta": {UNAVAILABLE: shown}} if shown else {}

    def _visit(self, caller: Caller) -> Visit:
        client = caller.visibility.client or caller.entry.client_info.get("client_name") or "default"
        return Visit(client, caller.visibility, self._view(caller.visibility), caller.may_administer)

    def _view(self, visibility: Visibility) -> View:
        key = self._catalogue.version, visibility
        if key not in self._views:
            for stale in [old for old in self._views if old[0] != key[0]]:
                del self._views[stale]
            self._views[key] = view(
                self._catalogue.now(),
                self._catalogue.filters,
                visibility,
                is_plain=self._config.tool_names == "plain",
                taken=own_tools.NAMES | own_prompts.NAMES,
            )
        return self._views[key]

    def _complete_own(self, caller: Caller, message: Message, reference: Mapping[str, Any]) -> list[str]:
        """Names of servers, which is all that our own prompts and templates ask for."""
        if reference.get("name") not in own_prompts.NAMES and reference.get("uri") != own_resources.SERVER:
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


def no_such_method(message: Message) -> Message:
    refusal = f"There is no method {mcp.method(message)} here"
    return jsonrpc.error(message.get("id"), jsonrpc.METHOD_NOT_FOUND, refusal)


def _no_such_resource(message: Message, uri: str) -> Message:
    return jsonrpc.error(message.get("id"), RESOURCE_NOT_FOUND, "Resource not found", {"uri": uri})


def _result(message: Message, outcome: Any) -> Message:
    return jsonrpc.result(message.get("id"), outcome)


def _with(message: Message, name: str, value: Any) -> Message:
    return {**message, "params": mcp.with_member(message.get("params"), name, jsonrpc.raw(value))}


def _text(message: Message, name: str) -> str:
    """A parameter that must be a text. Raises InvalidParams."""
    value = mcp.member(message.get("params"), name)
    if not isinstance(value, str):
        raise InvalidParams(f"`params.{name}` must be a text")
    return value


def _unwrapped(message: Message) -> Message:
    """The call that `call_tool` was called for. Raises InvalidParams."""
    inner = mcp.members(mcp.members(message.get("params")).get("arguments"))
    name = jsonrpc.value(inner.get("name"))
    if not isinstance(name, str) or name == own_tools.CALL_TOOL.name:
        raise InvalidParams("call_tool needs the `name` of the tool to call, and its `arguments`")
    params = mcp.with_member(message.get("params"), "name", jsonrpc.raw(name))
    arguments = inner.get("arguments", Raw(b"{}"))
    return {**message, "params": mcp.with_member(params, "arguments", arguments)}
