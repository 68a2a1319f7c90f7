-- `accepted` is the tool's definition that clients may see (NULL: it is new), `waiting` the one that was seen since
-- and is held back (NULL: none); `abilities` are those of the client to whom it was first shown.
CREATE TABLE mcp_tool_pin (
    server_name TEXT NOT NULL REFERENCES mcp_server (name) ON DELETE CASCADE,
    tool_name   TEXT NOT NULL,
    accepted    TEXT,
    waiting     TEXT,
    is_gone     INTEGER NOT NULL CHECK (is_gone IN (0, 1)),
    abilities   TEXT NOT NULL CHECK (json_valid(abilities)),
    PRIMARY KEY (server_name, tool_name)
) STRICT, WITHOUT ROWID;

-- With which abilities of a client the tools of a server were seen; no row: never yet.
CREATE TABLE mcp_tool_sight (
    server_name TEXT NOT NULL REFERENCES mcp_server (name) ON DELETE CASCADE,
    abilities   TEXT NOT NULL CHECK (json_valid(abilities)),
    PRIMARY KEY (server_name, abilities)
) STRICT, WITHOUT ROWID;
