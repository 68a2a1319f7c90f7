-- Several kinds of clients may be shown a tool of which none can do all that another can.

ALTER TABLE mcp_tool_pin RENAME COLUMN abilities TO shown_to;

UPDATE mcp_tool_pin SET shown_to = json_array(json(shown_to));
