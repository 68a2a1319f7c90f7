"""What the database tells about itself."""

import aiosqlite

from archestra_gateway.store.database import fetch_one

SCHEMA_VERSION = "SELECT max(number) AS schema_version FROM migration"


async def schema_version(db: aiosqlite.Connection) -> int:
    row = await fetch_one(db, SCHEMA_VERSION)
    return int(row["schema_version"]) if row else 0
