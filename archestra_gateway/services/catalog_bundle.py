"""Uploaded bundles: kept until they are installed, and unpacked beside the server's home."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import attrs

from archestra_gateway.catalog import bundle, bundle_file
from archestra_gateway.catalog.bundle import NotABundle, Surroundings
from archestra_gateway.catalog.recipe import Recipe
from archestra_gateway.catalog.text import slug
from archestra_gateway.errors import InvalidRequest, NotFound, ValidationFailed
from archestra_gateway.services.catalog import distrusted

OLDEST = 24 * 3600.0
MOST = 8


@attrs.frozen
class Bundles:
    """`data_dir` is the gateway's; `home` the person's."""

    data_dir: Path
    home: str

    async def take(self, pieces: AsyncIterator[bytes]) -> str:
        """The id of what was uploaded: its SHA-256."""
        folder = self._folder
        folder.mkdir(mode=0o700, exist_ok=True)
        await asyncio.to_thread(self._sweep)
        descriptor, name = await asyncio.to_thread(tempfile.mkstemp, ".part", "", folder)
        digest = hashlib.sha256()
        try:
            with os.fdopen(descriptor, "wb") as file:
                async for piece in pieces:
                    digest.update(piece)
                    await asyncio.to_thread(file.write, piece)
            bundle_id = digest.hexdigest()
            os.replace(name, self._file(bundle_id))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            raise
        return bundle_id

    async def recipe(self, bundle_id: str, name: str) -> Recipe:
        """As it would be started as the server `name`. Raises NotFound, or InvalidRequest for no bundle."""
        manifest = await self._manifest(bundle_id)
        around = Surroundings(str(self.folder_of(name)), self.home)
        try:
            recipe = distrusted(bundle.read(manifest, around))
        except NotABundle as error:
            raise ValidationFailed(f"The bundle can not be installed: {error}") from error
        return attrs.evolve(recipe, name=name, bundle=bundle_id)

    async def name_of(self, bundle_id: str) -> str:
        """How its author calls it."""
        manifest = await self._manifest(bundle_id)
        name = manifest.get("name") if isinstance(manifest, dict) else None
        return slug(name) if isinstance(name, str) else "server"

    async def unpack(self, bundle_id: str, name: str) -> None:
        """Beside the home of the server `name`, which goes with the server. Raises InvalidRequest."""
        folder = self.folder_of(name)
        try:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            await asyncio.to_thread(bundle_file.unpack, self._existing(bundle_id), folder)
        except NotABundle as error:
            raise _refusal(error) from error

    def forget(self, bundle_id: str) -> None:
        self._file(bundle_id).unlink(missing_ok=True)

    def folder_of(self, name: str) -> Path:
        return self.data_dir / "servers" / name / "bundle"

    async def _manifest(self, bundle_id: str) -> object:
        file = self._existing(bundle_id)
        try:
            return await asyncio.to_thread(bundle_file.manifest_of, file)
        except NotABundle as error:
            self.forget(bundle_id)
            raise _refusal(error) from error

    def _existing(self, bundle_id: str) -> Path:
        file = self._file(bundle_id)
        if not (len(bundle_id) == 64 and bundle_id.isalnum() and file.is_file()):
            raise NotFound("There is no such bundle: upload it", bundle=bundle_id[:64])
        return file

    def _sweep(self) -> None:
        """What was uploaded and never installed."""
        kept = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime, reverse=True)
        for place, file in enumerate(kept):
            if place >= MOST or time.time() - file.stat().st_mtime > OLDEST:
                file.unlink(missing_ok=True)

    @property
    def _folder(self) -> Path:
        return self.data_dir / "bundles"

    def _file(self, bundle_id: str) -> Path:
        return self._folder / f"{bundle_id}.mcpb"


def _refusal(error: NotABundle) -> InvalidRequest:
    return InvalidRequest(f"The bundle can not be used: {error}")
