"""The TypeScript client: made from the running gateway, compiled strictly, and used against it."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"
TSC = SCRIPTS / "node/node_modules/.bin/tsc"
PROGRAM = """
import { apiClient } from './client/apiClient';
import { client } from './client/client.gen';
import type { ErrorEnvelope, McpServer } from './client/types.gen';

async function main(): Promise<void> {
  client.setConfig({ baseUrl: '%(url)s' });
  const created: McpServer = await apiClient.mcp_server.create({
    name: 'typed',
    server_config: { transport: 'stdio', command: '%(python)s', args: ['-V'], env: {} },
  });
  const servers: McpServer[] = await apiClient.mcp_server.list();
  const refused: ErrorEnvelope = await apiClient.mcp_server.get({ name: 'nobody' }).then(
    () => { throw new TypeError('it was found'); },
    (error: ErrorEnvelope) => error,
  );
  // @ts-expect-error: a name is a string
  const wrong = () => apiClient.mcp_server.get({ name: 5 });
  console.log(JSON.stringify({
    created: created.name,
    listed: servers.map((server) => server.name).includes('typed'),
    refused: refused.error.code,
  }));
}

void main();
"""


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs node and npm")
async def test_the_typescript_client_is_made_compiles_strictly_and_works(
    client: TestClient, tmp_path: Path
) -> None:
    url = str(client.make_url("/")).rstrip("/")
    (tmp_path / "main.ts").write_text(PROGRAM % {"url": url, "python": sys.executable})

    await run(SCRIPTS / "typescript-client", tmp_path / "client", url)
    await run(TSC, *TSC_FLAGS, "--outDir", tmp_path / "js", tmp_path / "main.ts")
    said = await run("node", tmp_path / "js/main.js")

    assert json.loads(said) == {"created": "typed", "listed": True, "refused": "RESOURCE_NOT_FOUND"}


TSC_FLAGS = (
    "--strict",
    "--noEmitOnError",
    *("--target", "es2022"),
    *("--lib", "es2022,dom,dom.iterable"),
    *("--module", "commonjs"),
)


async def run(*command: object) -> str:
    """What the program says; it must succeed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()
