"""The request log over HTTP: list, one call, sums, deletion."""

from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from archestra_gateway import keys
from archestra_gateway.services.mcp_request_log import Entry

Client = TestClient[web.Request, web.Application]
LOG = "/api/mcp_request_log"


@pytest.fixture
def recorded(app: web.Application, client: Client) -> None:
    """Three calls, a minute after each other, from 2026-11-25T01:23:14.123Z on."""
    for number, (server, status) in enumerate([("files", 200), ("memory", 500), ("files", 200)]):
        app[keys.REQUEST_LOG].record(
            Entry(
                kind="mcp",
                request_id=f"request-{number}",
                timestamp=1795569794.123 + 60 * number,
                server_name=server,
                method="tools/call",
                status_code=status,
                request_headers={"Authorization": "Bearer abc", "Accept": "*/*"},
                request_body=b'{"id":1}',
                duration_ms=8.0 + number,
            )
        )


async def ask(client: Client, path: str, **query: str) -> tuple[int, Any]:
    async with client.get(LOG + path, params=query) as response:
        return response.status, await response.json()


def ids(page: dict[str, Any]) -> list[str]:
    return [row["request_id"] for row in page["data"]]


@pytest.mark.usefixtures("recorded")
async def test_the_list_shows_calls_without_their_bodies(client: Client) -> None:
    status, page = await ask(client, "", page_size="1")

    cursor = page.pop("next_cursor")
    assert cursor.startswith("2026-11-25T01:25:14.123Z_")
    assert (status, page) == (
        200,
        {
            "data": [
                {
                    "id": 3,
                    "request_id": "request-2",
                    "kind": "mcp",
                    "timestamp": "2026-11-25T01:25:14.123Z",
                    "session_id": None,
                    "mcp_session_id": None,
                    "server_name": "files",
                    "client_info": {
                        "user_agent": None,
                        "client_name": None,
                        "client_version": None,
                        "client_platform": None,
                    },
                    "method": "tools/call",
                    "tool_name": None,
                    "status_code": 200,
                    "error_message": None,
                    "duration_ms": 10.0,
                }
            ],
            "total": 3,
            "total_is_exact": True,
            "page": 1,
            "page_size": 1,
        },
    )


@pytest.mark.usefixtures("recorded")
async def test_pages_follow_each_other_by_number_and_by_cursor(client: Client) -> None:
    _, first = await ask(client, "", page_size="2")
    _, by_number = await ask(client, "", page_size="2", page="2")
    _, by_cursor = await ask(client, "", page_size="2", cursor=first["next_cursor"])

    assert ids(first) == ["request-2", "request-1"]
    assert ids(by_number) == ids(by_cursor) == ["request-0"]
    assert by_cursor["next_cursor"] is None


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"server_name": "memory"}, ["request-1"]),
        ({"status_code": "500"}, ["request-1"]),
        ({"method": "tools/list"}, []),
        ({"kind": "llm"}, []),
        ({"request_id": "request-2"}, ["request-2"]),
        ({"start_time": "2026-11-25T02:24:14.123+01:00"}, ["request-2", "request-1"]),
        ({"end_time": "2026-11-25T01:24:14.123Z"}, ["request-0"]),
        ({"server_name": "' OR 1=1 --"}, []),
    ],
)
async def test_filters_choose(client: Client, query: dict[str, str], found: list[str]) -> None:
    status, page = await ask(client, "", **query)
    _, stats = await ask(client, "/stats", **query)

    assert (status, ids(page)) == (200, found)
    assert stats["total_requests"] == len(found)


@pytest.mark.usefixtures("recorded")
async def test_a_client_can_look_its_own_call_up(client: Client) -> None:
    status, entry = await ask(client, "/request-0")

    assert status == 200
    assert entry["request_body"] == '{"id":1}'
    assert entry["request_headers"] == {"Authorization": "[redacted]", "Accept": "*/*"}
    assert entry["request_body_truncated"] is False


async def test_an_unknown_request_id_is_not_found(client: Client) -> None:
    status, answer = await ask(client, "/never")

    assert status == 404
    assert answer["error"]["code"] == "RESOURCE_NOT_FOUND"
    assert answer["error"]["details"] == {"request_id": "never"}


@pytest.mark.usefixtures("recorded")
async def test_stats_sum_up(client: Client) -> None:
    _, stats = await ask(client, "/stats")

    assert stats == {
        "total_requests": 3,
        "success_count": 2,
        "error_count": 1,
        "avg_duration_ms": 9.0,
        "p50_duration_ms": 8.724,
        "p95_duration_ms": 10.375,
        "p99_duration_ms": 10.375,
        "requests_per_server": {"files": 2, "memory": 1},
        "is_exact": True,
    }


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"start_time": "yesterday"}, "start_time"),
        ({"page": "0"}, "page"),
        ({"page_size": "501"}, "page_size"),
        ({"cursor": "x"}, "cursor"),
        ({"status_code": "OK"}, "status_code"),
        ({"kind": "ftp"}, "kind"),
        ({"servername": "files"}, "servername"),
    ],
)
async def test_a_wrong_query_names_the_place(client: Client, query: dict[str, str], named: str) -> None:
    status, answer = await ask(client, "", **query)

    assert (status, answer["error"]["code"]) == (422, "VALIDATION_FAILED")
    assert named in answer["error"]["message"]


@pytest.mark.usefixtures("recorded")
async def test_deleting_everything_must_be_said(client: Client) -> None:
    async with client.delete(LOG) as response:
        answer = await response.json()
        assert response.status == 422
        assert "clear_all=true" in answer["error"]["message"]

    async with client.delete(f"{LOG}?clear_all=true") as response:
        assert (response.status, await response.json()) == (200, {"deleted": 3})
    _, page = await ask(client, "")
    assert page["data"] == []


@pytest.mark.usefixtures("recorded")
async def test_older_calls_can_be_deleted(client: Client) -> None:
    async with client.delete(LOG, params={"before": "2026-11-25T01:25:14.123Z"}) as response:
        assert await response.json() == {"deleted": 2}

    _, page = await ask(client, "")
    assert ids(page) == ["request-2"]
