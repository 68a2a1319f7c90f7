"""Who may come in, as one table of pure rows: the first that has an answer wins."""

import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import attrs
from aiohttp import hdrs
from yarl import URL

from archestra_gateway import errors
from archestra_gateway.config import Config
from archestra_gateway.errors import GatewayError
from archestra_gateway.services.token import limited_token
from archestra_gateway.web.route import Carrier

SHELL_ORIGINS = frozenset({"tauri://localhost", "http://tauri.localhost", "https://tauri.localhost"})
LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
CALLBACK = "/oauth/callback"
FILE_TYPES = ("application/octet-stream", "application/zip")
INSTRUCTION = "send `Authorization: Bearer …` with the token that `archestra-gateway token` prints"

_LOCAL_ORIGIN = re.compile(r"http://(?:localhost|127\.0\.0\.1)(?::[0-9]{1,5})?")


class Verdict(Enum):
    ALLOW = "allow"
    PREFLIGHT = "204"


ALLOW, PREFLIGHT = Verdict.ALLOW, Verdict.PREFLIGHT


@attrs.frozen
class Rules:
    """What the configuration says, in the form in which the rows ask for it."""

    host: re.Pattern[str]
    origins: frozenset[str]
    token: bytes
    limited_token: bytes
    needs_token: bool
    is_client: Callable[[str], bool]
    max_body: Mapping[Carrier, int]


class Facts(NamedTuple):
    """What the rows ask about one request."""

    method: str
    target: str
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    fetch_site: str
    bearer: str | None
    port: int
    has_body: bool
    content_length: int
    content_type: str
    content_encoding: str
    carrier: Carrier
    expects_json: bool
    max_body: int
    is_administration: bool
    is_another_user: Callable[[], bool]


Row = Callable[[Facts, Rules], Verdict | GatewayError | None]


def needs_token(config: Config) -> bool:
    """Always asked for by configuration, or because others than this machine can connect."""
    binds = map(ipaddress.ip_address, config.server.bind)
    return config.security.require_token or not all(bind.is_loopback for bind in binds)


def nobody(bearer: str) -> bool:
    """No MCP client has a token of its own."""
    return False


def rules(config: Config, token: str, is_client: Callable[[str], bool] = nobody) -> Rules:
    """`is_client` knows the tokens of connected MCP clients, which may not administer."""
    base = URL(config.server.base_url) if config.server.base_url else None
    names = {*LOCAL_HOSTS, *config.security.allowed_hosts}
    origins = {*SHELL_ORIGINS, *config.security.allowed_origins}
    if base is not None and base.raw_host is not None:
        names.add(f"[{base.raw_host}]" if ":" in base.raw_host else base.raw_host)
        origins.add(str(base.origin()))
    return Rules(
        host=re.compile(rf"(?:{'|'.join(map(re.escape, sorted(names)))})(?::[0-9]{{1,5}})?", re.IGNORECASE),
        origins=frozenset(origins),
        token=token.encode(),
        limited_token=limited_token(token).encode(),
        needs_token=needs_token(config),
        is_client=is_client,
        max_body={
            "json": config.server.max_body,
            "chat": config.agent.max_body,
            "file": config.catalog.max_bundle,
            "jsonrpc": config.mcp.max_body,
            "llm": config.llm.max_body,
        },
    )


def is_trusted(origin: str, port: int, origins: frozenset[str]) -> bool:
    """The desktop shell, a configured origin, or a page of the gateway's own."""
    return origin in origins or origin in _own_origins(port)


@lru_cache
def _own_origins(port: int) -> frozenset[str]:
    ending = "" if port == 80 else f":{port}"
    return frozenset(f"http://{host}{ending}" for host in LOCAL_HOSTS)


def foreign_host(facts: Facts, rules: Rules) -> GatewayError | None:
    """A rebound name, or a target meant for a proxy (`GET http://… HTTP/1.1`, `CONNECT`)."""
    if not facts.target.startswith("/") and not (facts.target == "*" and facts.method == hdrs.METH_OPTIONS):
        return errors.MisdirectedRequest("This is not a proxy: ask for a path, not for a whole URL")
    if len(facts.hosts) == 1 and rules.host.fullmatch(facts.hosts[0]):
        return None
    return errors.MisdirectedRequest(
        f"This gateway does not answer to the Host {', '.join(map(repr, facts.hosts)) or '(none)'}; use "
        "localhost, or add the name to security.allowed_hosts"
    )


def options(facts: Facts, rules: Rules) -> Verdict | None:
    return PREFLIGHT if facts.method == hdrs.METH_OPTIONS else None


def two_origins(facts: Facts, rules: Rules) -> GatewayError | None:
    return errors.ForbiddenOrigin("A request has one Origin; send one") if len(facts.origins) > 1 else None


def oauth_callback(facts: Facts, rules: Rules) -> Verdict | None:
    """Its single-use `state` decides."""
    is_callback = facts.method == hdrs.METH_GET and facts.target.partition("?")[0] == CALLBACK
    return ALLOW if is_callback and not facts.has_body else None


def unfit_body(facts: Facts, rules: Rules) -> GatewayError | None:
    """`text/plain` is what a foreign page can send without asking; the rest would cost us memory or time."""
    if "%00" in facts.target.partition("?")[0]:
        return errors.InvalidRequest("The path has a NUL character in it")
    if not facts.has_body:
        return None
    if facts.expects_json and facts.content_type.partition(";")[0].strip().lower() != "application/json":
        return errors.UnsupportedMediaType("Send the body as JSON, with `Content-Type: application/json`")
    if facts.carrier == "file" and facts.content_type.strip().lower() not in FILE_TYPES:
        return errors.UnsupportedMediaType(
            "Send the file as it is, with `Content-Type: application/octet-stream`"
        )
    if facts.carrier != "llm" and facts.content_encoding.lower() not in ("", "identity"):
        return errors.UnsupportedMediaType("Send the body without compression (no Content-Encoding)")
    if 0 < facts.max_body < facts.content_length:
        return errors.PayloadTooLarge(
            f"The body has {facts.content_length} bytes, and at most {facts.max_body} are taken here",
            limit=facts.max_body,
        )
    return None


def bearer(facts: Facts, rules: Rules) -> Verdict | GatewayError | None:
    """LLM clients send a dummy key: there an unknown one is no failed log-in."""
    if facts.bearer is None:
        return None
    said = facts.bearer.encode(errors="surrogateescape")
    if hmac.compare_digest(said, rules.token):
        return ALLOW
    if hmac.compare_digest(said, rules.limited_token) or rules.is_client(facts.bearer):
        return _client_may_not_administer() if facts.is_administration else ALLOW
    if facts.carrier == "llm":
        return None
    return errors.Unauthorized(f"The bearer token is not this gateway's: {INSTRUCTION}")


def _client_may_not_administer() -> GatewayError:
    return errors.Forbidden(f"A program with this token may not administer this gateway: {INSTRUCTION}")


def token_missing(facts: Facts, rules: Rules) -> GatewayError | None:
    return (
        errors.Unauthorized(f"This gateway asks for its token: {INSTRUCTION}") if rules.needs_token else None
    )


def trusted_origin(facts: Facts, rules: Rules) -> Verdict | None:
    return ALLOW if facts.origins and is_trusted(facts.origins[0], facts.port, rules.origins) else None


def local_origin(facts: Facts, rules: Rules) -> Verdict | GatewayError | None:
    """A page of some other local program: it may use the gateway, and not administer it."""
    if not facts.origins or not _LOCAL_ORIGIN.fullmatch(facts.origins[0]):
        return None
    return _forbidden_origin(facts.origins[0], "administer") if facts.is_administration else ALLOW


def foreign_origin(facts: Facts, rules: Rules) -> GatewayError | None:
    """`null` included: sandboxed frames, files and redirects."""
    return _forbidden_origin(facts.origins[0], "use") if facts.origins else None


def foreign_page(facts: Facts, rules: Rules) -> GatewayError | None:
    """An image, a form or a link of a page elsewhere, which sends no Origin."""
    if facts.fetch_site not in ("cross-site", "same-site"):
        return None
    return errors.Forbidden(
        f"A page of another site may not call this gateway (Sec-Fetch-Site: {facts.fetch_site})"
    )


def other_user(facts: Facts, rules: Rules) -> GatewayError | None:
    if not facts.is_another_user():
        return None
    return errors.Unauthorized(f"You are not the user whom this gateway serves: {INSTRUCTION}")


def anybody_else(facts: Facts, rules: Rules) -> Verdict:
    """A command line, an SDK, curl."""
    return ALLOW


def _forbidden_origin(origin: str, purpose: str) -> GatewayError:
    return errors.ForbiddenOrigin(
        f"A page at {origin!r} may not {purpose} this gateway; add it to security.allowed_origins, or "
        f"{INSTRUCTION}",
        origin=ascii(origin)[1:-1],
    )


TABLE: tuple[Row, ...] = (
    foreign_host,
    options,
    two_origins,
    oauth_callback,
    unfit_body,
    bearer,
    token_missing,
    trusted_origin,
    local_origin,
    foreign_origin,
    foreign_page,
    other_user,
    anybody_else,
)


def decide(facts: Facts, rules: Rules) -> Verdict | GatewayError:
    for row in TABLE:
        if (verdict := row(facts, rules)) is not None:
            return verdict
    raise AssertionError("the last row answers everybody")


def may_come_in(facts: Facts, rules: Rules) -> bool:
    """Whether anything but a refusal awaits this origin, on some route at least and without the token."""
    if len(facts.origins) != 1:
        return False
    origin = facts.origins[0]
    return is_trusted(origin, facts.port, rules.origins) or _LOCAL_ORIGIN.fullmatch(origin) is not None
