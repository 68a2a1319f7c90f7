"""The agent: answers run by themselves, whoever listens, and end in the database however they end."""

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import aclosing, asynccontextmanager
from typing import Any

import attrs

from archestra_gateway.agent import chunks
from archestra_gateway.agent.history import checked
from archestra_gateway.agent.message import Message
from archestra_gateway.agent.tools import client_tools
from archestra_gateway.config import AgentConfig
from archestra_gateway.errors import Conflict, GatewayError, InternalError, RateLimited, ValidationFailed
from archestra_gateway.schemas.agent import ChatRequest
from archestra_gateway.services.agent_approval import Approvals
from archestra_gateway.services.agent_job import Job
from archestra_gateway.services.agent_log import Calls
from archestra_gateway.services.agent_model import Models
from archestra_gateway.services.agent_recovery import recover
from archestra_gateway.services.agent_run import Run
from archestra_gateway.services.agent_title import Titles
from archestra_gateway.services.agent_tool import Toolbox
from archestra_gateway.services.agent_writer import FrameWriter
from archestra_gateway.services.chat import Chats
from archestra_gateway.services.mcp_request_log import RequestLog
from archestra_gateway.store import agent_run as store
from archestra_gateway.store.database import Database

log = logging.getLogger(__name__)

STOPPING = "The gateway is stopping; what has come so far is kept"
STOPPED = "Stopped"
REGENERATE = "regenerate-message"
STALE = ("finish_reason", "error")
"""What a message that is gone on with must not keep of its first end."""


@attrs.define(eq=False)
class Agent:
    """Made by `open_agent`."""

    _database: Database
    _config: AgentConfig
    _log: RequestLog
    _models: Models
    _toolbox: Toolbox
    _chats: Chats
    approvals: Approvals
    _writer: FrameWriter
    _runs: dict[str, Run] = attrs.field(factory=dict)
    _background: set[asyncio.Task[None]] = attrs.field(factory=set)

    async def start(self, wanted: ChatRequest, run_id: str, client_info: dict[str, str | None]) -> Run:
        """Raises Conflict when the chat is being answered."""
        messages = _cut_for_regeneration(checked(wanted.messages, _new_id), wanted)
        provider = await self._models.provider(wanted.provider, wanted.model)
        client_tools(wanted.tools)  # raises what is wrong with them before there is a stream
        chat_id = wanted.id or _new_id()
        await self._refuse(chat_id)
        run = self._runs[chat_id] = Run(run_id, chat_id, _message(messages), self._writer.put)
        try:
            await self._chats.begin(run, messages)
        except BaseException:
            del self._runs[chat_id]
            raise
        calls = Calls(self._log, run_id, chat_id, client_info)
        job = Job(
            run, wanted, messages, provider, calls, self._models, self._toolbox, self.approvals, self._config
        )
        run.task = asyncio.create_task(self._work(job), name=f"agent run {run_id}")
        return run

    def running(self, chat_id: str) -> Run | None:
        run = self._runs.get(chat_id)
        return None if run is None or run.is_finishing else run

    async def read(self, run: Run, after: int = 0) -> AsyncGenerator[bytes, None]:
        """Blocks of frames, from the one after number `after` on, until the run is over."""
        run.readers += 1
        try:
            async with aclosing(run.read(self._database, after)) as blocks:
                async for block in blocks:
                    yield block
        finally:
            run.readers -= 1
            self._forget_frames(run)

    async def stop(self, chat_id: str) -> bool:
        """Returns when the answer has ended; False when there was none."""
        run = self._runs.get(chat_id)
        if run is None or run.task is None:
            return False
        run.was_stopped = True
        if not run.is_finishing:
            run.task.cancel()
        await asyncio.wait([run.task])
        return True

    async def delete_chat(self, chat_id: str) -> None:
        """Raises NotFound."""
        await self.stop(chat_id)
        await self._chats.delete(chat_id)
        self.approvals.forget_chat(chat_id)

    async def counts(self) -> dict[str, Any]:
        """For the gateway's status; no model means the first one that the provider lists."""
        return {
            "running": len(self._runs),
            "chats": await self._chats.count(),
            "waiting_approvals": self.approvals.count,
            "provider": self._config.provider,
            "model": self._config.model or None,
        }

    async def close(self) -> None:
        """Ends every run, so that its readers see that it was not its own end."""
        runs = [run.task for run in self._runs.values() if run.task is not None]
        for run in self._runs.values():
            if run.task is not None and not run.is_finishing:
                run.task.cancel()
        titles = [task for task in self._background if task.get_name() == "title"]
        for task in titles:
            task.cancel()
        await asyncio.gather(*runs, *self._background, return_exceptions=True)

    async def _refuse(self, chat_id: str) -> None:
        run = self._runs.get(chat_id)
        if run is not None and run.is_finishing and run.task is not None:
            await asyncio.wait([run.task])
            run = self._runs.get(chat_id)
        if run is not None:
            raise Conflict(
                f"This chat is being answered: read GET /api/agent/chat/{chat_id}/stream, or stop it first",
                id=chat_id,
            )
        if len(self._runs) >= self._config.max_runs:
            raise RateLimited(
                f"{len(self._runs)} chats are being answered, which is the most (agent.max_runs)"
            )

    async def _work(self, job: Job) -> None:
        run, state, error = job.run, "complete", None
        try:
            reason = await job.answer()
            job.speaker.close(STOPPED)
            _finish(job, [chunks.finish(job.metadata(reason))])
        except asyncio.CancelledError:
            if run.was_stopped:
                state = "stopped"
                job.speaker.close(STOPPED)
                _finish(job, [chunks.ABORT, chunks.finish(job.metadata("stopped"))])
            else:
                state, error = "broken", STOPPING
                _fail(job, "interrupted", STOPPING)
        except GatewayError as failure:
            state, error = "failed", failure.message
            _fail(job, "error", error)
        except Exception:
            log.exception("The run %s of the chat %s failed", run.id, run.chat_id)
            state, error = "failed", InternalError().message
            _fail(job, "error", error)
        await self._end(job, state, error)

    async def _end(self, job: Job, state: str, error: str | None) -> None:
        """First the database, then the readers: who comes back at once finds everything there."""
        run = job.run
        try:
            await self._writer.flush()
            await self._chats.end(run.id, run.chat_id, run.message.settled(), state, error)
        except Exception:
            log.exception("The end of the run %s could not be written", run.id)
        finally:
            self._runs.pop(run.chat_id, None)
            run.end()
            self._forget_frames(run)
        if state == "complete" and self._config.titles:
            self._spawn(Titles(self._chats).make(job), "title")

    def _forget_frames(self, run: Run) -> None:
        """When the run is over and nobody reads it any more."""
        if run.has_ended and run.readers == 0:
            self._spawn(self._delete_frames(run.id), "frames")

    async def _delete_frames(self, run_id: str) -> None:
        async with self._database.transaction() as db:
            await store.delete_frames(db, run_id)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _finish(job: Job, last: list[chunks.Chunk]) -> None:
    for chunk in last:
        job.run.emit(chunk)
    job.run.is_finishing = True


def _fail(job: Job, reason: str, text: str) -> None:
    """The error comes last: clients read no further."""
    job.speaker.close(text)
    _finish(job, [chunks.metadata({**job.metadata(reason), "error": text}), chunks.error(text)])


def _message(messages: list[dict[str, Any]]) -> Message:
    """The message that is going to be written: a new one, or the assistant's last, which goes on."""
    last = messages[-1]
    if last["role"] != "assistant":
        return Message(_new_id())
    message = Message.continued(last)
    for key in STALE:
        message.metadata.pop(key, None)
    return message


def _cut_for_regeneration(messages: list[dict[str, Any]], wanted: ChatRequest) -> list[dict[str, Any]]:
    """`useChat` has cut them itself; others post the whole chat and say which message they want anew."""
    if wanted.trigger != REGENERATE:
        return messages
    place = next((i for i, each in enumerate(messages) if each["id"] == wanted.messageId), len(messages) - 1)
    kept = messages[: place + 1]
    while kept and kept[-1]["role"] == "assistant":
        kept.pop()
    if not kept:
        raise ValidationFailed(
            "The messages do not fit", fields=["`messages` has nothing that could be answered anew"]
        )
    return kept


def _new_id() -> str:
    return secrets.token_urlsafe(12)


@asynccontextmanager
async def open_agent(
    database: Database,
    config: AgentConfig,
    request_log: RequestLog,
    models: Models,
    toolbox: Toolbox,
) -> AsyncIterator[Agent]:
    """What a killed gateway left behind is put in order first."""
    chats = Chats(database)
    await recover(database, chats)
    writer = FrameWriter(database)
    approvals = await Approvals.load(database, config)
    async with writer.running():
        agent = Agent(database, config, request_log, models, toolbox, chats, approvals, writer)
        try:
            yield agent
        finally:
            await agent.close()
