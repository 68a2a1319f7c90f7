"""Who may come in: the decision table row by row, and the attacks it is there for."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

from archestra_gateway.config import Config, SecurityConfig, ServerConfig
from archestra_gateway.services.token import limited_token
from archestra_gateway.web.decision import Facts, Verdict, decide, rules

ALLOW, PREFLIGHT = Verdict.ALLOW, Verdict.PREFLIGHT
TOKEN = "t0ken-" + "x" * 32
CONFIG = Config(server=ServerConfig(max_body=100))
BASE = Facts(
    method="POST",
    target="/api/mcp_server",
    hosts=("localhost:54587",),
    origins=(),
    fetch_site="",
    bearer=None,
    port=54587,
    has_body=True,
    content_length=20,
    content_type="application/json",
    content_encoding="",
    carrier="json",
    expects_json=True,
    max_body=100,
    is_administration=True,
    is_another_user=lambda: False,
)
RIGHT, BRIDGE, WRONG = TOKEN, limited_token(TOKEN), "sk-dummy"
EVIL = "https://evil.example"
OTHER_LOCAL = "http://localhost:3000"
USE = {"is_administration": False}
CALLBACK = {"method": "GET", "target": "/oauth/callback", "has_body": False}
LLM = {"carrier": "llm", "expects_json": False, "is_administration": False, "max_body": 0}


def outcome(facts: Facts, config: Config = CONFIG) -> str:
    verdict = decide(facts, rules(config, TOKEN))
    return verdict.value if isinstance(verdict, Verdict) else verdict.code


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:54587", "LOCALHOST:1", "127.0.0.1:9", "[::1]", "[::1]:54587"]
)
def test_row_1_the_gateway_answers_to_local_names(host: str) -> None:
    assert outcome(BASE._replace(hosts=(host,))) == "allow"


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("",),
        ("evil.example",),
        ("evil.example:54587",),
        ("localhost.evil.example",),
        ("localhost@evil.example",),
        ("localhost:54587:1",),
        ("localhost\n",),
        ("0.0.0.0:54587",),
        ("127.0.0.2",),
        ("::1",),
        ("localhost", "localhost"),
        ("localhost", "evil.example"),
    ],
)
def test_row_1_a_rebound_name_is_misdirected_whatever_else_is_right(hosts: tuple[str, ...]) -> None:
    assert outcome(BASE._replace(hosts=hosts, bearer=RIGHT)) == "MISDIRECTED_REQUEST"


def test_row_1_configured_names_are_ours_too() -> None:
    named = Config(
        server=ServerConfig(base_url="http://gateway.test:8080"),
        security=SecurityConfig(allowed_hosts=("box.local",)),
    )

    assert outcome(BASE._replace(hosts=("gateway.test:8080",)), named) == "allow"
    assert outcome(BASE._replace(hosts=("box.local",)), named) == "allow"
    assert outcome(BASE._replace(hosts=("boxxlocal",)), named) == "MISDIRECTED_REQUEST"


@pytest.mark.parametrize(
    ("row", "changes", "expected"),
    [
        ("1", {"target": "http://localhost:54587/api/mcp_server"}, "MISDIRECTED_REQUEST"),
        ("1", {"target": "localhost:54587", "method": "CONNECT"}, "MISDIRECTED_REQUEST"),
        ("1", {"target": "*"}, "MISDIRECTED_REQUEST"),
        ("2", {"method": "OPTIONS", "origins": (EVIL,)}, "204"),
        ("2", {"method": "OPTIONS", "target": "*"}, "204"),
        ("2", {"method": "OPTIONS", "hosts": ("evil.example",)}, "MISDIRECTED_REQUEST"),
        ("3", {"origins": ("tauri://localhost", EVIL), "bearer": RIGHT}, "FORBIDDEN_ORIGIN"),
        ("3", {"origins": ("tauri://localhost", "tauri://localhost")}, "FORBIDDEN_ORIGIN"),
        ("4", {**CALLBACK, "target": "/oauth/callback?state=1", "origins": (EVIL,)}, "allow"),
        ("4", {**CALLBACK, "fetch_site": "cross-site"}, "allow"),
        ("4", {**CALLBACK, "method": "POST", "origins": (EVIL,)}, "FORBIDDEN_ORIGIN"),
        ("4", {**CALLBACK, "target": "/oauth/callback/x", "origins": (EVIL,)}, "FORBIDDEN_ORIGIN"),
        ("5", {"content_type": "text/plain", "bearer": RIGHT}, "UNSUPPORTED_MEDIA_TYPE"),
        ("5", {"content_type": ""}, "UNSUPPORTED_MEDIA_TYPE"),
        ("5", {"content_type": "text/plain; application/json"}, "UNSUPPORTED_MEDIA_TYPE"),
        ("5", {"content_type": "application/jsonp"}, "UNSUPPORTED_MEDIA_TYPE"),
        ("5", {"content_type": "Application/JSON; charset=utf-8"}, "allow"),
        ("5", {"content_type": "text/plain", "has_body": False}, "allow"),
        ("5", {"content_encoding": "gzip", "bearer": RIGHT}, "UNSUPPORTED_MEDIA_TYPE"),
        ("5", {"content_encoding": "identity"}, "allow"),
        ("5", {"content_length": 101, "bearer": RIGHT}, "PAYLOAD_TOO_LARGE"),
        ("5", {"content_length": 10 * 2**30}, "PAYLOAD_TOO_LARGE"),
        ("5", {"content_length": 100}, "allow"),
        ("5", {"target": "/api/a%00b", "bearer": RIGHT}, "INVALID_REQUEST"),
        ("5", {"target": "/api/a?b=%00"}, "allow"),
        ("5", {**LLM, "content_type": "text/plain"}, "allow"),
        ("5", {**LLM, "content_encoding": "zstd", "content_length": 2**40}, "allow"),
        ("6", {"bearer": RIGHT, "origins": (EVIL,)}, "allow"),
        ("6", {"bearer": RIGHT, "is_another_user": lambda: True}, "allow"),
        ("6", {"bearer": BRIDGE, **USE}, "allow"),
        ("6", {"bearer": BRIDGE}, "FORBIDDEN"),
        ("6", {"bearer": BRIDGE, "origins": ("tauri://localhost",)}, "FORBIDDEN"),
        ("6", {"bearer": WRONG}, "UNAUTHORIZED"),
        ("6", {"bearer": ""}, "UNAUTHORIZED"),
        ("6", {"bearer": "\udcff"}, "UNAUTHORIZED"),
        ("6", {"bearer": WRONG, "origins": ("tauri://localhost",)}, "UNAUTHORIZED"),
        ("6", {**LLM, "bearer": WRONG}, "allow"),
        ("6", {**LLM, "bearer": WRONG, "origins": (EVIL,)}, "FORBIDDEN_ORIGIN"),
        ("8", {"origins": ("tauri://localhost",)}, "allow"),
        ("8", {"origins": ("http://tauri.localhost",)}, "allow"),
        ("8", {"origins": ("https://tauri.localhost",)}, "allow"),
        ("8", {"origins": ("http://localhost:1420",)}, "allow"),
        ("8", {"origins": ("http://localhost:54587",)}, "allow"),
        ("8", {"origins": ("http://127.0.0.1:54587",)}, "allow"),
        ("8", {"origins": ("http://[::1]:54587",)}, "allow"),
        ("8", {"origins": ("tauri://localhost.evil.example",)}, "FORBIDDEN_ORIGIN"),
        ("8", {"origins": ("http://[::1]:3000",), **USE}, "FORBIDDEN_ORIGIN"),
        ("9", {"origins": (OTHER_LOCAL,), **USE}, "allow"),
        ("9", {"origins": ("http://127.0.0.1:3000",), **USE}, "allow"),
        ("9", {"origins": (OTHER_LOCAL,), **LLM}, "allow"),
        ("9", {"origins": (OTHER_LOCAL,)}, "FORBIDDEN_ORIGIN"),
        ("9", {"origins": ("http://localhost.evil.example",), **USE}, "FORBIDDEN_ORIGIN"),
        ("9", {"origins": ("http://localhost:3000@evil.example",), **USE}, "FORBIDDEN_ORIGIN"),
        ("9", {"origins": ("http://localhost:3000\n",), **USE}, "FORBIDDEN_ORIGIN"),
        ("9", {"origins": ("https://localhost:3000",), **USE}, "FORBIDDEN_ORIGIN"),
        ("10", {"origins": (EVIL,), **USE}, "FORBIDDEN_ORIGIN"),
        ("10", {"origins": ("null",), **USE}, "FORBIDDEN_ORIGIN"),
        ("10", {"origins": ("",), **USE}, "FORBIDDEN_ORIGIN"),
        ("10", {"origins": ("http://0.0.0.0:54587",), **USE}, "FORBIDDEN_ORIGIN"),
        ("11", {"fetch_site": "cross-site", **USE}, "FORBIDDEN"),
        ("11", {"fetch_site": "same-site", **USE}, "FORBIDDEN"),
        ("11", {"fetch_site": "same-origin"}, "allow"),
        ("11", {"fetch_site": "none"}, "allow"),
        ("12", {"is_another_user": lambda: True}, "UNAUTHORIZED"),
        ("12", {"is_another_user": lambda: True, **LLM}, "UNAUTHORIZED"),
        ("13", {}, "allow"),
        ("13", {**USE}, "allow"),
    ],
)  # fmt: skip
def test_the_table(row: str, changes: dict[str, Any], expected: str) -> None:
    assert outcome(BASE._replace(**changes)) == expected


@pytest.mark.parametrize(
    "config",
    [
        Config(security=SecurityConfig(require_token=True)),
        Config(server=ServerConfig(bind=("0.0.0.0",))),
        Config(server=ServerConfig(bind=("127.0.0.1", "192.168.1.5"))),
        Config(server=ServerConfig(bind=("::",))),
    ],
)
@pytest.mark.parametrize("changes", [{}, {"origins": ("tauri://localhost",)}, {**LLM, "bearer": WRONG}])
def test_row_7_everybody_needs_the_token_when_it_is_asked_for_or_others_can_connect(
    config: Config, changes: dict[str, Any]
) -> None:
    assert outcome(BASE._replace(**changes), config) == "UNAUTHORIZED"
    assert outcome(BASE._replace(**{**changes, "bearer": RIGHT}), config) == "allow"


def test_row_7_loopback_needs_none() -> None:
    bound = Config(server=ServerConfig(bind=("127.0.0.1", "::1", "127.8.8.8")))

    assert outcome(BASE, bound) == "allow"


def test_row_8_the_configured_base_url_is_our_own_page() -> None:
    named = Config(server=ServerConfig(base_url="https://gateway.test/"))

    assert outcome(BASE._replace(origins=("https://gateway.test",)), named) == "allow"


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"origins": (EVIL,)}, "security.allowed_origins"),
        ({"origins": (EVIL,)}, "archestra-gateway token"),
        ({"bearer": WRONG}, "archestra-gateway token"),
        ({"is_another_user": lambda: True}, "archestra-gateway token"),
        ({"hosts": ("evil.example",)}, "security.allowed_hosts"),
    ],
)
def test_a_refusal_says_what_to_do(changes: dict[str, Any], hint: str) -> None:
    verdict = decide(BASE._replace(**changes), rules(CONFIG, TOKEN))

    assert not isinstance(verdict, Verdict)
    assert hint in verdict.message


# The same over real connections


@pytest.mark.parametrize(
    ("method", "target", "headers", "content", "status"),
    [
        ("GET", "/api/paint", {"Host": "attacker.example:54587"}, None, 421),
        ("POST", "/mcp_proxy/files", {"Host": "attacker.example"}, b"{}", 421),
        ("GET", "/api/paint", {"Host": "0.0.0.0"}, None, 421),
        ("GET", "/api/paint", {"Host": None}, None, 400),
        ("GET", "http://localhost/api/paint", {}, None, 421),
        ("GET", "http://evil.example/api/paint", {}, None, 421),
        ("CONNECT", "evil.example:443", {}, None, 421),
        ("GET", "/nowhere", {"Origin": EVIL}, None, 403),
        ("POST", "/api/paint", {"Content_Type": "text/plain"}, b'{"colour":"red"}', 415),
        ("POST", "/api/paint", {"Content_Type": "application/x-www-form-urlencoded"}, b"colour=red", 415),
        ("POST", "/mcp_proxy/files", {"Content_Type": "text/plain"}, b"{}", 415),
        ("POST", "/api/paint", {"Content_Encoding": "gzip"}, b'{"colour":"red"}', 415),
        ("GET", "/api/paint", {"Origin": "null"}, None, 403),
        ("GET", "/api/paint", {"Origin": [EVIL, "tauri://localhost"]}, None, 403),
        ("GET", "/api/paint", {"Sec_Fetch_Site": "cross-site"}, None, 403),
        ("GET", "/api/paint%00", {}, None, 400),
        ("GET", "/oauth/callback", {"Origin": EVIL}, None, 200),
        ("GET", "/api/paint", {"Authorization": "Bearer nonsense"}, None, 401),
        ("GET", "/api/paint", {"Authorization": f"bearer {TOKEN}", "Origin": EVIL}, None, 200),
        ("GET", "/llm/ollama/api/tags", {"Authorization": "Bearer ollama"}, None, 200),
        ("PATCH", "/llm/ollama/x", {"Content_Type": "text/plain"}, b"anything", 200),
        ("POST", "/api/admin", {"Origin": OTHER_LOCAL}, b'{"colour":"red"}', 403),
        ("POST", "/api/paint", {"Origin": OTHER_LOCAL}, b'{"colour":"red"}', 201),
        ("POST", "/api/admin", {"Origin": "tauri://localhost"}, b'{"colour":"red"}', 201),
    ],
)  # fmt: skip
async def test_at_the_door(
    floor: Any, method: str, target: str, headers: dict[str, Any], content: bytes | None, status: int
) -> None:
    answer = await floor.ask(method, target, content, **headers)

    assert answer.status == status


@pytest.mark.parametrize(("origin", "status"), [(EVIL, 403), ("null", 403), (OTHER_LOCAL, 101), (None, 101)])
async def test_a_page_elsewhere_opens_no_websocket(floor: Any, origin: str | None, status: int) -> None:
    answer = await floor.ask(
        "GET",
        "/api/socket",
        Origin=origin,
        Connection="Upgrade",
        Upgrade="websocket",
        Sec_WebSocket_Version="13",
        Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ==",
    )

    assert answer.status == status
    assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("target", ["/api/paint", "/mcp_proxy/files"])
async def test_ten_declared_gigabytes_are_refused_at_once(floor: Any, target: str) -> None:
    answer = await floor.ask("POST", target, b"{", Content_Length=str(10 * 2**30))

    assert answer.status == 413
    assert answer.headers["connection"] == "close"


async def test_nobody_is_asked_to_send_a_body_that_will_be_refused(floor: Any) -> None:
    answer = await floor.ask(
        "POST",
        "/api/paint",
        Expect="100-continue",
        Content_Type="application/json",
        Content_Length=str(10 * 2**30),
    )

    assert answer.status == 413


async def test_who_may_send_a_body_is_asked_for_it(floor: Any) -> None:
    async with floor.connect() as (reader, writer):
        writer.write(
            b"POST /api/paint HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            b"Content-Type: application/json\r\nContent-Length: 16\r\n\r\n"
        )
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b'{"colour":"red"}')

        assert b" 201 " in await reader.readline()


async def test_a_chunked_body_is_cut_at_the_limit(floor: Any) -> None:
    content = b"1ffff\r\n" + b" " * 0x1FFFF + b"\r\n0\r\n\r\n"

    answer = await floor.ask("POST", "/api/paint", content, Content_Length=None, Transfer_Encoding="chunked")

    assert (answer.status, answer.code) == (413, "PAYLOAD_TOO_LARGE")


VISIT = """
import socket, sys
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.send(b"GET /api/paint HTTP/1.1\\r\\nHost: localhost\\r\\n" + sys.argv[2].encode() + b"\\r\\n")
print(s.recv(65536).decode())
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize(
    ("user", "header", "status"),
    [(65534, "", "401"), (65534, f"Authorization: Bearer {TOKEN}\r\n", "200"), (0, "", "200")],
)
async def test_row_12_another_user_of_this_machine_needs_the_token(
    floor: Any, user: int, header: str, status: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/env", "python3", "-c", VISIT, str(floor.port), header,
        stdout=subprocess.PIPE, user=user, group=user, cwd="/", env={"PATH": "/usr/bin:/bin:/usr/local/bin"},
    )  # fmt: skip
    output, _ = await process.communicate()

    assert output.decode().split(" ")[1] == status
