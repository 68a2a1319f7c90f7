CREATE TABLE chat (
    id             TEXT PRIMARY KEY,
    title          TEXT NOT NULL,
    is_title_final INTEGER NOT NULL DEFAULT 0 CHECK (is_title_final IN (0, 1)),
    created_at     TEXT NOT NULL,
    updated_at     TEXT NOT NULL
) STRICT;

CREATE INDEX chat_updated_at ON chat (updated_at, id);

-- UI messages as the AI SDK has them.
CREATE TABLE chat_message (
    chat_id  TEXT NOT NULL REFERENCES chat (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    id       TEXT NOT NULL,
    message  TEXT NOT NULL CHECK (json_valid(message)),
    PRIMARY KEY (chat_id, position)
) STRICT;

-- One row a chat: its title and what people read in it. Filled by the service, the rowid is that of the chat.
CREATE VIRTUAL TABLE chat_text USING fts5 (text, tokenize = "unicode61 remove_diacritics 2");

CREATE TABLE agent_run (
    id         TEXT PRIMARY KEY,
    chat_id    TEXT NOT NULL REFERENCES chat (id) ON DELETE CASCADE,
    message_id TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('running', 'complete', 'stopped', 'failed', 'broken')),
    error      TEXT,
    started_at TEXT NOT NULL,
    ended_at   TEXT
) STRICT;

CREATE INDEX agent_run_chat_id ON agent_run (chat_id);
CREATE INDEX agent_run_running ON agent_run (state) WHERE state = 'running';

CREATE VIEW chat_with_run AS
SELECT chat.rowid AS number, chat.id, title, is_title_final, created_at, updated_at,
    state AS last_run, error AS last_error
FROM chat
LEFT JOIN agent_run ON agent_run.rowid = (SELECT max(rowid) FROM agent_run WHERE chat_id = chat.id);

-- What a run has streamed, some hundredths of a second in one row; gone when the run is over and read.
CREATE TABLE agent_run_frames (
    run_id TEXT NOT NULL REFERENCES agent_run (id) ON DELETE CASCADE,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    frames BLOB NOT NULL,
    PRIMARY KEY (run_id, first)
) STRICT;

-- An empty tool_name means the whole server, an empty chat_id every chat, an empty definition any.
CREATE TABLE agent_permission (
    server_name TEXT NOT NULL,
    tool_name   TEXT NOT NULL,
    chat_id     TEXT NOT NULL,
    decision    TEXT NOT NULL CHECK (decision IN ('allow', 'ask', 'deny')),
    definition  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    PRIMARY KEY (server_name, tool_name, chat_id)
) STRICT;
