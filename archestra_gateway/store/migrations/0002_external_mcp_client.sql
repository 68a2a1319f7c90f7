CREATE TABLE external_mcp_client (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    config       TEXT NOT NULL CHECK (json_valid(config)),
    token        TEXT NOT NULL,
    written      TEXT CHECK (written IS NULL OR json_valid(written)),
    connected_at TEXT,
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL
) STRICT;
