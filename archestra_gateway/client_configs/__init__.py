"""The config files of external MCP clients: one row a client, one module a format, and careful writing."""
