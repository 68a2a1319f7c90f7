"""MCP servers that are packages of npm or PyPI: what a command names, and how it is installed."""
