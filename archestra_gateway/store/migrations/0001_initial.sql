CREATE TABLE migration (
    number     INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT;

CREATE TABLE mcp_server (
    id            INTEGER PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    server_config TEXT NOT NULL CHECK (json_valid(server_config)),
    enabled       INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL
) STRICT;

CREATE TABLE llm_provider (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    base_url   TEXT NOT NULL,
    api_key    TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE TABLE mcp_request_log (
    id              INTEGER PRIMARY KEY,
    request_id      TEXT NOT NULL,
    kind            TEXT NOT NULL CHECK (kind IN ('mcp', 'llm')),
    timestamp       TEXT NOT NULL,
    session_id      TEXT,
    mcp_session_id  TEXT,
    server_name     TEXT NOT NULL,
    user_agent      TEXT,
    client_name     TEXT,
    client_version  TEXT,
    client_platform TEXT,
    method          TEXT,
    tool_name       TEXT,
    status_code     INTEGER,
    error_message   TEXT,
    is_error        INTEGER NOT NULL AS (error_message IS NOT NULL OR coalesce(status_code, 599) >= 400) STORED,
    duration_ms     REAL NOT NULL,
    duration_bucket INTEGER NOT NULL
) STRICT;

CREATE INDEX mcp_request_log_timestamp ON mcp_request_log (timestamp);
CREATE INDEX mcp_request_log_server_name ON mcp_request_log (server_name, timestamp);
CREATE INDEX mcp_request_log_kind ON mcp_request_log (kind, timestamp);
CREATE INDEX mcp_request_log_method ON mcp_request_log (method, timestamp);
CREATE INDEX mcp_request_log_request_id ON mcp_request_log (request_id, timestamp);
CREATE INDEX mcp_request_log_session_id ON mcp_request_log (session_id, timestamp) WHERE session_id IS NOT NULL;
CREATE INDEX mcp_request_log_mcp_session_id ON mcp_request_log (mcp_session_id, timestamp)
    WHERE mcp_session_id IS NOT NULL;
CREATE INDEX mcp_request_log_tool_name ON mcp_request_log (tool_name, timestamp) WHERE tool_name IS NOT NULL;
CREATE INDEX mcp_request_log_client_name ON mcp_request_log (client_name, timestamp) WHERE client_name IS NOT NULL;
CREATE INDEX mcp_request_log_status_code ON mcp_request_log (status_code, timestamp);

-- Beside the log, so that the rows a page or an aggregate reads stay small and close together.
CREATE TABLE mcp_request_log_content (
    log_id                  INTEGER PRIMARY KEY,
    request_headers         TEXT NOT NULL CHECK (json_valid(request_headers)),
    request_body            TEXT,
    request_body_truncated  INTEGER NOT NULL CHECK (request_body_truncated IN (0, 1)),
    response_headers        TEXT NOT NULL CHECK (json_valid(response_headers)),
    response_body           TEXT,
    response_body_truncated INTEGER NOT NULL CHECK (response_body_truncated IN (0, 1))
) STRICT;

-- What the log's rows of one hour add up to; changed in the transaction that changes the rows.
CREATE TABLE mcp_request_log_hour (
    hour            TEXT NOT NULL,
    server_name     TEXT NOT NULL,
    kind            TEXT NOT NULL,
    is_error        INTEGER NOT NULL,
    duration_bucket INTEGER NOT NULL,
    count           INTEGER NOT NULL,
    duration_ms     REAL NOT NULL,
    PRIMARY KEY (hour, server_name, kind, is_error, duration_bucket)
) STRICT, WITHOUT ROWID;
