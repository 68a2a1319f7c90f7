"""The official clients, with nothing but their base URL changed."""

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import ollama
import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway.config import Config, LlmConfig, OllamaConfig, ServerConfig

FAKE = Path(__file__).parent.parent / "fakes" / "llm_provider.py"
NODE = Path(__file__).parent.parent / "node"
HI = [{"role": "user", "content": "Hi"}]
WHOLE = "Hello from the fake."

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def config(tmp_path: Path) -> AsyncIterator[Config]:
    process = await asyncio.create_subprocess_exec(sys.executable, str(FAKE), stdout=PIPE)
    assert process.stdout is not None
    port = int((await process.stdout.readline()).split()[1])
    yield Config(
        server=ServerConfig(port=0, data_dir=tmp_path / "data"),
        llm=LlmConfig(ollama=OllamaConfig(url=f"http://127.0.0.1:{port}")),
    )
    process.kill()
    await process.wait()


@pytest.fixture
def base(client: Client) -> str:
    return str(client.make_url("/llm/ollama"))


async def test_ollama_of_pypi(base: str) -> None:
    speaker = ollama.AsyncClient(base)

    chat = await speaker.chat("fake", HI)
    chunks = [part.message.content async for part in await speaker.chat("fake", HI, stream=True)]
    generated = [part.response async for part in await speaker.generate("fake", "Hi", stream=True)]
    pulled = [part.status async for part in await speaker.pull("fake", stream=True)]
    models = await speaker.list()
    deleted = await speaker.delete("fake")

    assert chat.message.content == "".join(filter(None, chunks)) == "".join(generated) == WHOLE
    assert pulled[-1] == "success"
    assert [model.model for model in models.models] == ["fake:latest"]
    assert deleted.status == "success"
    with pytest.raises(ollama.ResponseError, match="model 'missing' not found") as error:
        await speaker.chat("missing", HI)
    assert error.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="runner process has terminated"):
        _ = [part async for part in await speaker.chat("crashes", HI, stream=True)]
    await speaker._client.aclose()


async def test_openai_of_pypi(base: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="ollama") as speaker:
        whole = await speaker.chat.completions.create(model="fake", messages=HI)
        stream = await speaker.chat.completions.create(model="fake", messages=HI, stream=True)
        parts = [chunk.choices[0].delta.content async for chunk in stream]
        models = [model.id async for model in speaker.models.list()]

    assert whole.choices[0].message.content == "".join(filter(None, parts)) == WHOLE
    assert models == ["fake"]


async def test_openai_hears_that_a_stream_broke(base: str) -> None:
    async with openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="ollama", max_retries=0) as speaker:
        stream = await speaker.chat.completions.create(
            model="fake", messages=HI, stream=True, extra_headers={"X-Fake-Break": "2"}
        )
        with pytest.raises(Exception, match=r"(?i)incomplete|peer closed|connection"):
            _ = [chunk async for chunk in stream]


async def test_anthropic_of_pypi(base: str) -> None:
    async with anthropic.AsyncAnthropic(base_url=base, api_key="dummy") as speaker:
        message = await speaker.messages.create(model="fake", max_tokens=9, messages=HI)

    assert message.content[0].text == WHOLE


@pytest.mark.skipif(not (NODE / "node_modules" / "ollama").exists(), reason="npm install in tests/node")
async def test_ollama_of_npm(base: str) -> None:
    script = f"""
        import {{ Ollama }} from 'ollama'
        const speaker = new Ollama({{ host: {json.dumps(base)} }})
        let text = ''
        const chat = {{ model: 'fake', messages: {json.dumps(HI)} }}
        for await (const part of await speaker.chat({{ ...chat, stream: true }})) text += part.message.content
        const missing = await speaker.chat({{ ...chat, model: 'missing' }}).catch(error => error.status_code)
        console.log(JSON.stringify([text, (await speaker.list()).models.length, missing]))
    """
    process = await asyncio.create_subprocess_exec(
        shutil.which("node") or "node",
        "--input-type=module",
        "-e",
        script,
        cwd=NODE,
        stdout=PIPE,
        env={"PATH": os.environ["PATH"]},
    )

    output, _ = await process.communicate()

    assert json.loads(output) == [WHOLE, 1, 404]
