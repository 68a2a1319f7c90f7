-- `token` and `written` hold what an earlier version stored in the clear, until the first start of this one
-- seals both in `secret`.
CREATE TABLE external_mcp_client_new (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    config       TEXT NOT NULL CHECK (json_valid(config)),
    token        TEXT,
    written      TEXT CHECK (written IS NULL OR json_valid(written)),
    connected_at TEXT,
    created_at   TEXT NOT NULL,
    updated_at   TEXT NOT NULL
) STRICT;

INSERT INTO external_mcp_client_new (id, name, config, token, written, connected_at, created_at, updated_at)
SELECT id, name, config, token, written, connected_at, created_at, updated_at
FROM external_mcp_client;

DROP TABLE external_mcp_client;
ALTER TABLE external_mcp_client_new RENAME TO external_mcp_client;
