"""stdio on one side, the daemon's streamable HTTP on the other: for clients that only start programs."""
