"""OAuth 2.1 as a client of MCP servers: discovery, registration, grants. No storage, no flows."""
