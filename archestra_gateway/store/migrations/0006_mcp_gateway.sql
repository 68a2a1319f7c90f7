-- What each server said it offers, in its own words; `configured_at` is the server's `updated_at` of that time.
CREATE TABLE mcp_catalogue (
    server_name   TEXT PRIMARY KEY,
    configured_at TEXT NOT NULL,
    description   TEXT NOT NULL
) STRICT;

-- The tools of a server that are offered at all; no row: all of them.
CREATE TABLE mcp_tool_filter (
    server_name TEXT PRIMARY KEY,
    tools       TEXT NOT NULL CHECK (json_valid(tools))
) STRICT;

CREATE TABLE mcp_context (
    client     TEXT PRIMARY KEY,
    context    TEXT NOT NULL CHECK (json_valid(context)),
    updated_at TEXT NOT NULL
) STRICT;

-- Sessions of /mcp, which outlive the daemon.
CREATE TABLE mcp_session (
    id      TEXT PRIMARY KEY,
    opening TEXT NOT NULL,
    version TEXT NOT NULL,
    used_at TEXT NOT NULL
) STRICT;

CREATE INDEX mcp_session_used_at ON mcp_session (used_at);

-- How often each tool of a server was used, without looking at the rows.
CREATE INDEX mcp_request_log_use ON mcp_request_log (server_name, tool_name, timestamp) WHERE tool_name IS NOT NULL;
