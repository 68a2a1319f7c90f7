"""A new key for the stored secrets, whether the daemon runs or not."""

import asyncio

from archestra_gateway.config import Config
from archestra_gateway.daemon import client, instance
from archestra_gateway.daemon.exit_code import CommandError
from archestra_gateway.services import data_dir
from archestra_gateway.services.token import load_token
from archestra_gateway.services.vault import open_vault
from archestra_gateway.store.database import open_database

PATIENCE = 60.0


def rotate_key(config: Config) -> tuple[int, str]:
    """How many values were sealed again, and where the key lies. Raises CommandError."""
    folder = config.server.data_dir
    if (found := instance.running(folder)) is not None:
        return _ask(found, load_token(folder))
    data_dir.prepare(folder)
    with instance.hold(folder):
        return asyncio.run(_rotate(config))


def _ask(found: instance.Instance, token: str) -> tuple[int, str]:
    for address in found.addresses:
        answer = client.ask(address, "POST", "/api/secret/rotate_key", token=token, timeout=PATIENCE)
        if answer is not None and not answer.is_error:
            return int(answer.data["count"]), str(answer.data["key"])
    raise CommandError(f"The gateway ({found}) did not rotate its key; its log says why.")


async def _rotate(config: Config) -> tuple[int, str]:
    folder = config.server.data_dir
    async with open_database(folder / "gateway.db") as database:
        vault = await open_vault(folder, config.security.secrets_key)
        return await vault.rotate(database, folder, config.security.secrets_key), vault.place
