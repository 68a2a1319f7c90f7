"""Servers that are already configured elsewhere, as one shape."""

import attrs
import pytest

from archestra_gateway.client_configs.entry import Bridge, Remote, bridge_entry, remote_entry
from archestra_gateway.client_configs.found_server import FoundServer, normalise, read_servers, same_place
from archestra_gateway.client_configs.plan import Record, connect
from archestra_gateway.client_configs.table import CLIENTS

BY_ID = {client.id: client for client in CLIENTS}


@pytest.mark.parametrize(
    ("client", "text", "server"),
    [
        (
            "cursor",
            '{"mcpServers": {"x": {"command": "npx", "args": ["p"], "env": {"K": "${env:K}"}}}}',
            FoundServer("x", "stdio", "npx", ("p",), {"K": "${env:K}"}, placeholders=("${env:K}",)),
        ),
        (
            "opencode",
            '{"mcp": {"x": {"type": "local", "command": ["npx", "p"], "environment": {"K": "v"}}}}',
            FoundServer("x", "stdio", "npx", ("p",), {"K": "v"}),
        ),
        (
            "zed",
            '{"context_servers": {"x": {"command": {"path": "npx", "args": ["p"], "env": null}}}}',
            FoundServer("x", "stdio", "npx", ("p",)),
        ),
        (
            "goose",
            "extensions:\n  dev: {type: builtin, name: developer}\n  x:\n    type: stdio\n    cmd: npx\n"
            "    args: [p]\n    envs: {K: v}\n    enabled: false\n",
            FoundServer("x", "stdio", "npx", ("p",), {"K": "v"}, is_enabled=False),
        ),
        (
            "continue",
            "mcpServers:\n- name: x\n  type: sse\n  url: https://a\n  requestOptions: {headers: {A: b}}\n",
            FoundServer("x", "sse", url="https://a", headers={"A": "b"}),
        ),
        (
            "codex-cli",
            '[mcp_servers.x]\nurl = "https://a"\nbearer_token_env_var = "TOKEN"\nhttp_headers = {A = "b"}',
            FoundServer(
                "x",
                "http",
                url="https://a",
                headers={"A": "b", "Authorization": "Bearer ${TOKEN}"},
                placeholders=("${TOKEN}",),
            ),
        ),
        (
            "codex-cli",
            '[mcp_servers.x]\ncommand = "a"\ncwd = "/srv"\nenv = {K = "v"}\nenv_vars = ["HERE", "K"]',
            FoundServer(
                "x", "stdio", "a", (), {"K": "v", "HERE": "${HERE}"}, cwd="/srv", placeholders=("${HERE}",)
            ),
        ),
        (
            "codex-cli",
            '[mcp_servers.x]\nurl = "https://a"\nenv_http_headers = {A = "B"}',
            FoundServer("x", "http", url="https://a", headers={"A": "${B}"}, placeholders=("${B}",)),
        ),
        (
            "vscode",
            '{"servers": {"x": {"command": "a", "cwd": "${workspaceFolder}", "envFile": "/x/.env"}}}',
            FoundServer(
                *("x", "stdio", "a"),
                cwd="${workspaceFolder}",
                placeholders=("${workspaceFolder}", "envFile"),
            ),
        ),
        (
            "gemini-cli",
            '{"mcpServers": {"x": {"url": "https://a"}}}',
            FoundServer("x", "sse", url="https://a"),
        ),
        (
            "gemini-cli",
            '{"mcpServers": {"x": {"httpUrl": "https://a"}}}',
            FoundServer("x", "http", url="https://a"),
        ),
        ("cline", '{"mcpServers": {"x": {"url": "https://a"}}}', FoundServer("x", "sse", url="https://a")),
        (
            "cline",
            '{"mcpServers": {"x": {"url": "https://a", "type": "streamableHttp", "disabled": true}}}',
            FoundServer("x", "http", url="https://a", is_enabled=False),
        ),
        (
            "windsurf",
            '{"mcpServers": {"x": {"serverUrl": "https://a"}}}',
            FoundServer("x", "http", url="https://a"),
        ),
        ("amp", '{"amp.mcpServers": {"x": {"url": "https://a"}}}', FoundServer("x", "http", url="https://a")),
        (
            "copilot-jetbrains",
            '{"servers": {"x": {"url": "https://a", "requestInit": {"headers": {"A": "b"}}}}}',
            FoundServer("x", "http", url="https://a", headers={"A": "b"}),
        ),
    ],
)
def test_a_server_is_read_from_a_clients_file(client: str, text: str, server: FoundServer) -> None:
    assert read_servers(BY_ID[client], text) == [server]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.id)
def test_what_the_gateway_writes_it_can_read(client: str, remote: Remote, bridge: Bridge) -> None:
    row = client if not isinstance(client, str) else BY_ID[client]
    named = attrs.evolve(remote, headers={"A": "b"})
    wanted = {"program": bridge_entry(row.stdio, attrs.evolve(bridge, name="program"))}
    if row.http:
        wanted["address"] = remote_entry(row.http, attrs.evolve(named, name="address"))

    text = connect(row, None, Record(), wanted).text

    servers = {server.name: server for server in read_servers(row, text or "")}
    assert servers["program"] == FoundServer("program", "stdio", bridge.command, bridge.args)
    if row.http:
        assert servers["address"] == FoundServer("address", "http", url=remote.url, headers={"A": "b"})


@pytest.mark.parametrize(
    "entry", [None, 3, "npx", [], {}, {"command": ""}, {"command": 3}, {"url": 3}, {"args": []}]
)
def test_what_is_no_server_is_left_out(entry: object) -> None:
    assert normalise("x", entry) is None


def test_an_entry_is_recognised_by_where_it_leads() -> None:
    assert same_place({"url": "http://a", "disabled": True}, {"type": "http", "url": "http://a"})
    assert same_place({"command": ["a", "b"]}, {"command": "a", "args": ["b"]})
    assert not same_place({"url": "http://a"}, {"url": "http://b"})
    assert same_place({"address": "http://a"}, {"address": "http://a"})
    assert not same_place({}, {"address": "http://a"})
