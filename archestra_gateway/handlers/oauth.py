"""Logins at remote MCP servers: the click, the redirect that comes back, the log-out."""

import attrs
from aiohttp import web

from archestra_gateway import keys
from archestra_gateway.errors import MethodNotAllowed
from archestra_gateway.oauth.client import described
from archestra_gateway.schemas.oauth import StartOAuth
from archestra_gateway.web import body, envelope, oauth_page


async def start(request: web.Request) -> web.StreamResponse:
    wanted = await body.read(request, StartOAuth)
    server = request.app[keys.MCP_SERVERS].find(wanted.name)
    return envelope.json(attrs.asdict(await request.app[keys.OAUTH].start(server)))


async def callback(request: web.Request) -> web.StreamResponse:
    """A page for the person's browser, whatever comes."""
    if request.method != "GET":  # HEAD would use the state up
        raise MethodNotAllowed("The redirect of a login is a GET", allowed=["GET"])
    finished = await request.app[keys.OAUTH].finish(request.query)
    return oauth_page.page(finished.server, finished.problem)


async def log_out(request: web.Request) -> web.StreamResponse:
    servers, name = request.app[keys.MCP_SERVERS], request.match_info["name"]
    await request.app[keys.OAUTH].log_out(servers.find(name))
    return envelope.json(attrs.asdict(servers.get(name)))


async def client_metadata(request: web.Request) -> web.StreamResponse:
    """The document to be published at `oauth.client_metadata_url`."""
    config = request.app[keys.CONFIG]
    described_client = described(f"{config.server.url}/oauth/callback")
    return envelope.json({"client_id": config.oauth.client_metadata_url, **described_client})
