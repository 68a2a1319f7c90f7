-- The public registry as it was last seen. `label` and `text` are what a search looks through, in small letters.
CREATE TABLE catalog_server (
    name     TEXT PRIMARY KEY,
    label    TEXT NOT NULL,
    text     TEXT NOT NULL,
    document TEXT NOT NULL CHECK (json_valid(document)),
    status   TEXT NOT NULL,
    sweep    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: which registry that is, and how far it was read.
CREATE TABLE catalog_registry (
    url          TEXT PRIMARY KEY,
    since        TEXT,
    swept_at     TEXT,
    refreshed_at TEXT,
    problem      TEXT
) STRICT;
