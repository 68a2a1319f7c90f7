-- What a client asked a session for, so that it has it again when the session wakes.

ALTER TABLE mcp_session ADD COLUMN wishes TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(wishes));
