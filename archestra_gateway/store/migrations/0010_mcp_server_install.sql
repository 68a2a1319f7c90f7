-- What is installed for each server whose command is a package: one row replaces another when it works.
-- `folder` is below the server's own in the data directory; what no row names there is a leftover.
CREATE TABLE mcp_server_install (
    server_name  TEXT PRIMARY KEY,
    source       TEXT NOT NULL CHECK (json_valid(source)),
    version      TEXT NOT NULL,
    folder       TEXT NOT NULL,
    program      TEXT NOT NULL CHECK (json_valid(program)),
    lock_text    TEXT NOT NULL,
    python       TEXT,
    digest       TEXT NOT NULL,
    installed_at TEXT NOT NULL
) STRICT;
