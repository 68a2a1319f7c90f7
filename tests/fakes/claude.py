#!/usr/bin/env python3
"""Like `claude mcp add|remove --scope user`: rewrites ~/.claude.json whole, as Claude Code does."""

import json
import os
import sys
from pathlib import Path

file = Path(os.environ["HOME"]) / ".claude.json"
state = json.loads(file.read_text()) if file.exists() else {"numStartups": 1}
servers = state.setdefault("mcpServers", {})
verb, *rest = sys.argv[2:]
flags, words = {}, []
while rest:
    word = rest.pop(0)
    if word.startswith("--"):
        flags.setdefault(word, []).append(rest.pop(0))
    else:
        words.append(word)
if verb == "remove":
    servers.pop(words[0], None)
elif words[0] in servers:
    sys.exit(f"MCP server {words[0]} already exists in user config")
elif os.environ.get("FAKE_CLAUDE") != "forgetful":
    headers = dict(header.split(": ", 1) for header in flags.get("--header", []))
    servers[words[0]] = {"type": flags["--transport"][0], "url": words[1], "headers": headers}
state["writtenBy"] = "claude"
file.write_text(json.dumps(state, indent=2))
