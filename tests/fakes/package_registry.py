"""An npm registry and a Python index with one MCP server, `demo-server`, in several versions, and its part.

Prints its port. `POST /-/state` takes `latest` (published last), `authorization` (who does not send it gets
401), `tampered` (other files than were published), `file_host` (where npm's files are said to be) and
`stalled` (requests wait); `GET /-/state` tells the paths that were asked for.
"""

import asyncio
import base64
import hashlib
import io
import json
import tarfile
import zipfile
from typing import Any

from aiohttp import web

BROKEN = "3.0.0"
"""It says why it does not start."""
VERSIONS = ("1.0.0", "2.0.0", BROKEN)
PARTS = {"1.0.0": "1.0.0", "2.0.0": "1.1.0", BROKEN: "1.1.0"}

NODE_SERVER = """#!/usr/bin/env node
const fs = require("fs"), path = require("path");
const {version} = require("./package.json"), part = require("demo-part").version;
if (version === "3.0.0") { console.error("demo-server 3 is broken"); process.exit(1); }
const about = () => ({version, part, env: process.env,
  hasRunScripts: fs.existsSync(path.join(__dirname, "script-ran"))});
const results = {
  initialize: () => ({protocolVersion: "2025-06-18", capabilities: {tools: {}},
                      serverInfo: {name: "demo", version}}),
  "tools/list": () => ({tools: [{name: "about", description: "Of " + version,
                                 inputSchema: {type: "object"}}]}),
  "tools/call": () => ({content: [{type: "text", text: JSON.stringify(about())}]}),
};
require("readline").createInterface({input: process.stdin}).on("line", (line) => {
  const {id, method} = JSON.parse(line);
  if (results[method]) console.log(JSON.stringify({jsonrpc: "2.0", id, result: results[method]()}));
});
"""
PYTHON_SERVER = """
import json, os, sys
from importlib.metadata import version

def main():
    mine = version("demo-server")
    if mine == "3.0.0":
        sys.exit("demo-server 3 is broken")
    about = {"version": mine, "part": version("demo-part"), "env": dict(os.environ), "python": sys.executable}
    tool = {"name": "about", "description": "Of " + mine, "inputSchema": {"type": "object"}}
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "demo", "version": mine}},
        "tools/list": {"tools": [tool]},
        "tools/call": {"content": [{"type": "text", "text": json.dumps(about)}]},
    }
    for line in sys.stdin:
        message = json.loads(line)
        if message["method"] in results:
            answer = {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}
            print(json.dumps(answer), flush=True)
"""


class PackageRegistry:
    def __init__(self) -> None:
        self.state: dict[str, Any] = {"latest": VERSIONS[0]}
        self.changed = asyncio.Event()
        self.seen: list[str] = []
        self.app = web.Application(middlewares=[self._guard])
        self.app.router.add_get("/-/state", self._tell)
        self.app.router.add_post("/-/state", self._change)
        self.app.router.add_get("/npm/{name}", self._packument)
        self.app.router.add_get("/npm/{name}/-/{file}", self._tarball)
        self.app.router.add_get("/simple/{name}/", self._index)
        self.app.router.add_get("/files/{file}", self._wheel)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if not request.path.startswith("/-/"):
            self.seen.append(request.path)
            wanted = self.state.get("authorization")
            if wanted and request.headers.get("Authorization") != wanted:
                raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Basic"})
            while self.state.get("stalled"):
                self.changed.clear()
                await self.changed.wait()
        response: web.StreamResponse = await handler(request)
        return response

    async def _tell(self, request: web.Request) -> web.Response:
        return web.json_response({**self.state, "seen": self.seen})

    async def _change(self, request: web.Request) -> web.Response:
        self.state.update(await request.json())
        self.changed.set()
        return web.json_response(self.state)

    async def _packument(self, request: web.Request) -> web.Response:
        name, base = request.match_info["name"], str(request.url.origin())
        if host := self.state.get("file_host"):
            base = f"http://{host}"
        versions = self._versions(name)
        if not versions:
            raise web.HTTPNotFound
        described = {
            version: {
                **_manifest(name, version),
                "dist": {
                    "tarball": f"{base}/npm/{name}/-/{name}-{version}.tgz",
                    "integrity": _integrity(_tar(name, version)),
                },
            }
            for version in versions
        }
        return web.json_response({"name": name, "dist-tags": {"latest": versions[-1]}, "versions": described})

    async def _tarball(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        version = request.match_info["file"].removeprefix(f"{name}-").removesuffix(".tgz")
        return web.Response(body=_tar(name, version, "// other\n" if self.state.get("tampered") else ""))

    async def _index(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        versions = self._versions(name)
        if not versions:
            raise web.HTTPNotFound
        links = (
            f'<a href="/files/{_wheel_name(name, version)}#sha256={_sha256(_wheel(name, version))}">'
            f"{_wheel_name(name, version)}</a>"
            for version in versions
        )
        return web.Response(text=f"<html><body>{''.join(links)}</body></html>", content_type="text/html")

    async def _wheel(self, request: web.Request) -> web.Response:
        name, version, *_ = request.match_info["file"].split("-")
        extra = "# other\n" if self.state.get("tampered") else ""
        return web.Response(body=_wheel(name.replace("_", "-"), version, extra))

    def _versions(self, name: str) -> list[str]:
        published = VERSIONS[: VERSIONS.index(self.state["latest"]) + 1]
        if name == "demo-server":
            return list(published)
        return sorted({PARTS[version] for version in published}) if name == "demo-part" else []


def _manifest(name: str, version: str) -> dict[str, Any]:
    if name == "demo-part":
        return {"name": name, "version": version, "main": "index.js"}
    return {
        "name": name,
        "version": version,
        "bin": {name: "index.js"},
        "dependencies": {"demo-part": f"^{PARTS[version]}"},
        "scripts": {"postinstall": "touch script-ran"},
    }


def _tar(name: str, version: str, extra: str = "") -> bytes:
    program = NODE_SERVER if name == "demo-server" else f"exports.version = '{version}';\n"
    files = {"package.json": json.dumps(_manifest(name, version)), "index.js": program + extra}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for path, text in files.items():
            info = tarfile.TarInfo(f"package/{path}")
            info.size, info.mode = len(text.encode()), 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
    raw = bytearray(data.getvalue())
    raw[4:8] = bytes(4)  # gzip's own time
    return bytes(raw)


def _wheel_name(name: str, version: str) -> str:
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


def _wheel(name: str, version: str, extra: str = "") -> bytes:
    module, is_server = name.replace("-", "_"), name == "demo-server"
    info = f"{module}-{version}.dist-info"
    needs = f"Requires-Dist: demo-part>={PARTS[version]}\n" if is_server else ""
    files = {
        f"{module}/__init__.py": (PYTHON_SERVER if is_server else "") + extra,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: fake\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if is_server:
        files[f"{info}/entry_points.txt"] = f"[console_scripts]\n{name} = {module}:main\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)
    return data.getvalue()


def _integrity(data: bytes) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def serve() -> None:
    runner = web.AppRunner(PackageRegistry().app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
