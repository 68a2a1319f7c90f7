"""`/api/secret`."""

import attrs
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.schemas.secret import CreateSecret, Secret, UpdateSecret
from archestra_gateway.web import body, envelope


async def list_all(request: web.Request) -> web.StreamResponse:
    return envelope.json([attrs.asdict(secret) for secret in await request.app[keys.SECRETS].list_all()])


async def create(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, CreateSecret)
    return _answer(await request.app[keys.SECRETS].create(wanted), status=201)


async def get(request: web.Request) -> web.StreamResponse:
    return _answer(await request.app[keys.SECRETS].get(request.match_info["name"]))


async def update(request: web.Request) -> web.StreamResponse:
    """Servers that run with the old value are started again with the new one."""
    name = request.match_info["name"]
    secret = await request.app[keys.SECRETS].update(name, await body.read(request, UpdateSecret))
    await request.app[keys.MCP_SERVERS].secret_changed(name)
    return _answer(secret)


async def delete(request: web.Request) -> web.StreamResponse:
    await request.app[keys.SECRETS].delete(request.match_info["name"])
    return web.Response(status=204)


async def rotate_key(request: web.Request) -> web.StreamResponse:
    """A new key for everything that is stored."""
    config, vault = request.app[keys.CONFIG], request.app[keys.VAULT]
    count = await vault.rotate(
        request.app[keys.DATABASE], config.server.data_dir, config.security.secrets_key
    )
    return envelope.json({"count": count, "key": vault.place})


def _answer(secret: Secret, status: int = 200) -> web.Response:
    return envelope.json(attrs.asdict(secret), status=status)
