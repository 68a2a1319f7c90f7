"""`/api/agent/chat`: an answer as it comes, and what can be done about it meanwhile."""

import re

import attrs
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.agent import chunks
from archestra_gateway.errors import ValidationFailed
from archestra_gateway.schemas.agent import CHAT_ID, AnswerApproval, ChatRequest, Stopped
from archestra_gateway.services.agent_run import Run
from archestra_gateway.web import body, envelope, guard, logged
from archestra_gateway.web.sse import EventStream

NUMBER = re.compile(r"[0-9]{1,15}")
HEADERS = {"x-vercel-ai-ui-message-stream": "v1"}


async def chat(request: web.Request) -> web.StreamResponse:
    """Answer a chat, as a stream of AI SDK chunks."""
    wanted = await body.read(request, ChatRequest, request.app[keys.CONFIG].agent.max_body)
    if wanted.id is not None and not re.fullmatch(CHAT_ID, wanted.id):
        raise ValidationFailed(
            "The chat's id does not fit",
            fields=["`id` consists of 1 to 128 letters, digits, `_`, `.`, `~`, `:` and `-`"],
        )
    client_info = dict(logged.begin(request, "llm", "").client_info)
    run = await request.app[keys.AGENT].start(wanted, request[keys.REQUEST_ID], client_info)
    return await _stream(request, run)


async def resume(request: web.Request) -> web.StreamResponse:
    """Read the running answer from its first chunk, or after `Last-Event-ID`; 204 when none runs."""
    run = request.app[keys.AGENT].running(request.match_info["id"])
    if run is None:
        return web.Response(status=204)
    last = request.headers.get("Last-Event-ID", "")
    return await _stream(request, run, int(last) if NUMBER.fullmatch(last) else 0)


async def stop(request: web.Request) -> web.StreamResponse:
    stopped = await request.app[keys.AGENT].stop(request.match_info["id"])
    return envelope.json(attrs.asdict(Stopped(stopped=stopped)))


async def approvals(request: web.Request) -> web.StreamResponse:
    waiting = request.app[keys.AGENT].approvals.waiting(request.match_info["id"])
    return envelope.json([attrs.asdict(approval) for approval in waiting])


async def approve(request: web.Request) -> web.StreamResponse:
    """Who may call tools may allow a call; what holds for longer is a change of permissions."""
    answer = await body.read(request, AnswerApproval)
    if answer.scope != "once":
        guard.check_administration(request)
    found = request.match_info
    approval = await request.app[keys.AGENT].approvals.answer(found["id"], found["approval_id"], answer)
    return envelope.json(attrs.asdict(approval))


async def _stream(request: web.Request, run: Run, after: int = 0) -> web.StreamResponse:
    """The agent ends its runs itself when the gateway stops, with an error that readers see."""
    agent = request.app[keys.AGENT]
    stream = EventStream(
        request,
        keep_alive=request.app[keys.CONFIG].agent.ping,
        headers=HEADERS,
        filler=chunks.PING,
        ends_at_stop=False,
    )
    async with stream:
        async for block in agent.read(run, after):
            await stream.send_block(block)
        await stream.send_block(chunks.DONE)
    return stream.response
