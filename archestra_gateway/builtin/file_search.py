"""Searching a folder by name and by content, bounded in results, depth, bytes and time."""

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from archestra_gateway.builtin import confinement
from archestra_gateway.builtin.confinement import Folder, Location, Refused
from archestra_gateway.builtin.glob_pattern import matches

MAX_RESULTS = 1000
MAX_DEPTH = 64
SECONDS = 10.0
CONTENT_LIMIT = 4 * 1024 * 1024
LINE_LENGTH = 200


class Found(NamedTuple):
    """`name` lies in the open directory `parent`; `parts` is its path from where the search began."""

    parent: int
    name: str
    kind: str
    parts: tuple[str, ...]


class Search:
    """One search: what it saw, and why it ended early, if it did."""

    def __init__(self, root: Location, pattern: str, content: str, max_results: int, max_depth: int) -> None:
        self.root = root
        self.pattern = pattern
        self.content = content
        self.max_results = max_results
        self.max_depth = max_depth
        self.deadline = time.monotonic() + SECONDS
        self.results: list[dict[str, Any]] = []
        self.unreadable = 0

    def run(self) -> str | None:
        """Collects results; gives the reason when there may be more."""
        with confinement.opened_directory(self.root) as descriptor:
            for found in self._walk(descriptor, ()):
                if time.monotonic() > self.deadline:
                    return f"The search was stopped after {SECONDS:.0f} seconds."
                if matches(self.pattern, found.parts):
                    self._collect(found)
                if len(self.results) > self.max_results:
                    del self.results[self.max_results :]
                    return f"There are more than {self.max_results} results."
        return None

    def _walk(self, directory: int, above: tuple[str, ...]) -> Iterator[Found]:
        with os.scandir(directory) as entries:
            kinds = sorted((entry.name, _kind(entry)) for entry in entries)
        for name, kind in kinds:
            parts = (*above, name)
            yield Found(directory, name, kind, parts)
            if kind == "directory" and len(parts) < self.max_depth:
                yield from self._walk_into(directory, name, parts)

    def _walk_into(self, directory: int, name: str, parts: tuple[str, ...]) -> Iterator[Found]:
        try:
            child = os.open(name, confinement.DIRECTORY, dir_fd=directory)
        except OSError:
            self.unreadable += 1
            return
        try:
            yield from self._walk(child, parts)
        finally:
            os.close(child)

    def _collect(self, found: Found) -> None:
        path = os.path.join(self.root.path, *found.parts)
        if not self.content:
            self.results.append({"path": path, "type": found.kind})
        elif found.kind == "file":
            lines = self._lines(found)
            self.results.extend(
                {"path": path, "type": "file", "line": at, "text": text} for at, text in lines
            )

    def _lines(self, found: Found) -> list[tuple[int, str]]:
        try:
            descriptor = confinement.open_regular(found.name, found.parent, os.O_RDONLY)
        except (OSError, Refused):
            self.unreadable += 1
            return []
        with open(descriptor, "rb") as file:
            data = file.read(CONTENT_LIMIT)
        return list(lines_with(data, self.content, self.max_results + 1))


def search_files(
    folders: Sequence[Folder],
    path: str = ".",
    pattern: str = "*",
    content: str = "",
    max_results: int = 100,
    max_depth: int = 20,
) -> dict[str, Any]:
    search = Search(confinement.locate(folders, path), pattern, content, max_results, max_depth)
    reason = search.run()
    answer: dict[str, Any] = {"results": search.results, "is_cut": reason is not None}
    if reason:
        answer["reason"] = reason
    if search.unreadable:
        answer["unreadable"] = search.unreadable
    return answer


def lines_with(data: bytes, content: str, limit: int) -> Iterator[tuple[int, str]]:
    """Line number and text of each line that has `content`; nothing for what looks binary."""
    wanted = content.encode("utf-8", "replace")
    if wanted not in data or b"\0" in data[:1024]:
        return
    for number, line in enumerate(data.split(b"\n"), 1):
        if wanted in line and limit:
            limit -= 1
            yield number, line.decode("utf-8", "replace").strip()[:LINE_LENGTH]


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "symlink"
    if entry.is_dir(follow_symlinks=False):
        return "directory"
    return "file" if entry.is_file(follow_symlinks=False) else "other"
