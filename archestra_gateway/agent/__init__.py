"""The agent: the loop, what it streams, and what needs a person's yes. Pure."""
