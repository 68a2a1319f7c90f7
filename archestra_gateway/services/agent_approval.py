"""Tool calls that need a person's yes: who is asked, what exactly was asked, and what is remembered."""

import asyncio
import secrets
import time
from typing import Any, Literal, Self

import attrs

from archestra_gateway import timestamp
from archestra_gateway.agent import permission
from archestra_gateway.agent.loop import Permit
from archestra_gateway.agent.permission import Decision, Permission
from archestra_gateway.agent.tools import Offered
from archestra_gateway.config import AgentConfig
from archestra_gateway.errors import NotFound
from archestra_gateway.providers.conversation import ToolCall
from archestra_gateway.schemas.agent import AnswerApproval, Approval, PermissionKey, SetPermission
from archestra_gateway.store import agent_permission as store
from archestra_gateway.store.database import Database

DENIED = "The user did not allow this call"
FORBIDDEN = "The user has forbidden this tool"
TOO_LATE = "Nobody allowed this call in time"
CHANGED = "The tool's description has changed since the user was asked: make the call again"

State = Literal["pending", "allowed", "denied", "expired"]


@attrs.define(eq=False)
class Held:
    """One call, exactly as it was asked about; it can be answered once."""

    id: str
    chat_id: str
    tool: Offered
    call: ToolCall
    expires_at: float
    answer: asyncio.Future[AnswerApproval]

    def part(self, state: State) -> dict[str, Any]:
        """What `data-approval` says to clients."""
        return {"state": state, **attrs.asdict(self.shown())}

    def shown(self) -> Approval:
        return Approval(
            id=self.id,
            chat_id=self.chat_id,
            tool_call_id=self.call.id,
            tool_name=self.tool.tool_name,
            server_name=self.tool.server,
            input=self.call.input,
            expires_at=timestamp.from_seconds(self.expires_at),
        )


@attrs.define(eq=False)
class Approvals:
    """Made by `load`. What is held is in memory: a restart denies it."""

    _database: Database
    _config: AgentConfig
    _permissions: dict[tuple[str, str, str], Permission] = attrs.field(factory=dict)
    _held: dict[str, Held] = attrs.field(factory=dict)

    @classmethod
    async def load(cls, database: Database, config: AgentConfig) -> Self:
        async with database.read() as db:
            rows = await store.list_all(db)
        approvals = cls(database, config)
        for row in rows:
            approvals._remember(row)
        return approvals

    def decision(self, tool: Offered, chat_id: str) -> Decision:
        return permission.decide(
            self._permissions.values(),
            self._config.approval,
            tool.annotations,
            server=tool.server,
            tool=tool.tool_name,
            chat=chat_id,
            definition=tool.definition,
        )

    def hold(self, chat_id: str, tool: Offered, call: ToolCall) -> Held:
        seconds = self._config.approval_timeout
        loop = asyncio.get_running_loop()
        held = Held(secrets.token_hex(16), chat_id, tool, call, time.time() + seconds, loop.create_future())
        self._held[held.id] = held
        loop.call_later(seconds, self._held.pop, held.id, None)
        return held

    async def wait(self, held: Held) -> tuple[State, Permit]:
        """What a person said, or the time-out; the call can not be answered after that."""
        try:
            async with asyncio.timeout(max(held.expires_at - time.time(), 0)):
                return _permit(await held.answer)
        except TimeoutError:
            return "expired", Permit("deny", TOO_LATE)
        finally:
            self._held.pop(held.id, None)

    def claim(self, chat_id: str, approval_id: str, call_id: str) -> Held | None:
        """A call that was left to a later request; only the one that was asked about, and only once."""
        held = self._held.get(approval_id)
        if held is None or (held.chat_id, held.call.id) != (chat_id, call_id):
            return None
        return self._held.pop(approval_id)

    def waiting(self, chat_id: str) -> list[Approval]:
        return [held.shown() for held in self._held.values() if held.chat_id == chat_id]

    @property
    def count(self) -> int:
        """How many calls wait, over all chats."""
        return sum(not held.answer.done() for held in self._held.values())

    async def answer(self, chat_id: str, approval_id: str, answer: AnswerApproval) -> Approval:
        """Raises NotFound for a call that does not wait any more."""
        held = self._held.get(approval_id)
        if held is None or held.chat_id != chat_id or held.answer.done():
            raise NotFound("This approval is unknown, answered already or too old", approval_id=approval_id)
        held.answer.set_result(answer)
        if answer.scope != "once":
            await self._save(
                store.Row(
                    server_name=held.tool.server,
                    tool_name=held.tool.tool_name,
                    chat_id=chat_id if answer.scope == "chat" else "",
                    decision=answer.decision,
                    definition=held.tool.definition,
                    updated_at=timestamp.now(),
                )
            )
        return held.shown()

    def permissions(self) -> list[Permission]:
        return [self._permissions[key] for key in sorted(self._permissions)]

    async def set(self, wanted: SetPermission) -> Permission:
        return await self._save(
            store.Row(
                server_name=wanted.server_name,
                tool_name=wanted.tool_name,
                chat_id=wanted.chat_id,
                decision=wanted.decision,
                definition="",
                updated_at=timestamp.now(),
            )
        )

    async def delete(self, key: PermissionKey) -> None:
        """Raises NotFound."""
        async with self._database.transaction() as db:
            if not await store.delete(db, key.server_name, key.tool_name, key.chat_id):
                raise NotFound("There is no such permission", **attrs.asdict(key))
        self._permissions.pop((key.server_name, key.tool_name, key.chat_id), None)

    def forget_chat(self, chat_id: str) -> None:
        """What was said for a chat goes with it."""
        self._permissions = {key: given for key, given in self._permissions.items() if key[2] != chat_id}

    async def _save(self, row: store.Row) -> Permission:
        async with self._database.transaction() as db:
            await store.put(db, row)
        return self._remember(row)

    def _remember(self, row: store.Row) -> Permission:
        key = (row["server_name"], row["tool_name"], row["chat_id"])
        given = Permission(*key, decision=row["decision"], definition=row["definition"])  # type: ignore[arg-type]
        self._permissions[key] = given
        return given


def _permit(answer: AnswerApproval) -> tuple[State, Permit]:
    if answer.decision == "allow":
        return "allowed", Permit("allow")
    return "denied", Permit("deny", f"{DENIED}: {answer.reason}" if answer.reason else DENIED)


def claimed(held: Held, *, approved: bool, reason: str | None) -> Permit:
    """The answer of a client that posts it with the chat; one given at the endpoint stands above it."""
    if held.answer.done():
        return _permit(held.answer.result())[1]
    return _permit(AnswerApproval(decision="allow" if approved else "deny", reason=reason))[1]
