"""A title for a new chat, made by its model when nobody waits for it any more."""

import asyncio
import logging
from contextlib import aclosing

import attrs

from archestra_gateway.agent.history import text_of
from archestra_gateway.agent.written import ThinkTags
from archestra_gateway.errors import GatewayError
from archestra_gateway.providers.conversation import Failed, Prompt, TextDelta, UserTurn
from archestra_gateway.services.agent_job import Job
from archestra_gateway.services.chat import TITLE, Chats

log = logging.getLogger(__name__)

SECONDS = 60.0
ASKED = 2000
"""Characters of the conversation that the model is shown for it."""
ORDER = (
    "Write a title of at most six words for the following conversation, in its language. "
    "Answer with the title alone."
)


@attrs.frozen
class Titles:
    _chats: Chats

    async def make(self, job: Job) -> None:
        """Never raises: the chat has a title already, if a poor one."""
        chat_id = job.run.chat_id
        try:
            async with asyncio.timeout(SECONDS):
                if await self._chats.needs_title(chat_id) and (title := await _asked(job)):
                    await self._chats.set_title(chat_id, title, is_final=True)
        except (GatewayError, TimeoutError) as error:
            log.info("No title for the chat %s: %s", chat_id, error)
        except Exception:
            log.exception("No title for the chat %s", chat_id)


async def _asked(job: Job) -> str:
    messages = [*job.messages, job.run.message.shown()]
    spoken = "\n\n".join(f"{each['role']}: {text_of(each)}" for each in messages if text_of(each))
    prompt = Prompt(job.model, ORDER, (UserTurn(spoken[:ASKED]),), is_brief=True, context=job.config.context)
    thoughts, pieces = ThinkTags(), []
    async with aclosing(job.models.ask(job.provider, job.calls, prompt)) as stream:
        async for events in stream:
            for event in events:
                if isinstance(event, TextDelta):
                    pieces.append(thoughts.feed(event.text)[1])
                elif isinstance(event, Failed):
                    return ""
    return cleaned("".join(pieces))


def cleaned(text: str) -> str:
    """Models like to put quotes, headings and a second line around it."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    title = " ".join(line.split()).removeprefix("Title:").strip(" \"'*#`_“”„«».")
    return title[:TITLE].rstrip()
