"""`archestra-filesystem-server`: the files of a few folders as MCP tools over stdio."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from archestra_gateway import __version__
from archestra_gateway.builtin import file_tool_descriptions as descriptions
from archestra_gateway.builtin.confinement import Folder, Refused
from archestra_gateway.builtin.file_search import search_files
from archestra_gateway.builtin.file_tools import file_info, list_directory, read_file, write_file
from archestra_gateway.builtin.stdio_server import Json, Server, Tool, serve, structured, text


def main() -> None:
    parser = _parser()
    folders = parser.parse_args().folders
    if not folders:
        parser.error("at least one folder is needed: --read-only DIR or --read-write DIR")
    try:
        serve(server(folders), sys.stdin.buffer, sys.stdout.buffer)
    except (KeyboardInterrupt, BrokenPipeError):
        os._exit(0)  # the usual way out would complain that stdout can not be flushed


def server(folders: Sequence[Folder]) -> Server:
    allowed = ", ".join(f"{at.path} ({'read-write' if at.is_writable else 'read-only'})" for at in folders)

    def tool(description: Json, run: Callable[..., Any], as_result: Callable[[Any], Json]) -> Tool:
        sentence = f"{description['description']} Allowed folders: {allowed}."
        return Tool(
            description | {"description": sentence},
            lambda **arguments: as_result(run(folders, **arguments)),
        )

    return Server(
        name="filesystem-server",
        title="Files",
        version=__version__,
        instructions=f"Reads and writes files in these folders and nowhere else: {allowed}.",
        tools=(
            tool(descriptions.READ_FILE, read_file, lambda blocks: text(*blocks)),
            tool(descriptions.WRITE_FILE, write_file, text),
            tool(descriptions.LIST_DIRECTORY, list_directory, structured),
            tool(descriptions.SEARCH_FILES, search_files, structured),
            tool(descriptions.FILE_INFO, file_info, structured),
        ),
        in_words=in_words,
    )


def in_words(error: Exception, arguments: Json) -> str | None:
    """What went wrong, for the model; None for a fault of ours."""
    path = arguments.get("path", ".")
    match error:
        case Refused():
            return str(error)
        case FileNotFoundError():
            return f"{path} does not exist, or the folder that should hold it does not."
        case IsADirectoryError():
            return f"{path} is a folder, not a file. list_directory shows what is in it."
        case NotADirectoryError():
            return f"{path} is not a folder, or leads through something that is not one."
        case PermissionError():
            return f"The system does not allow it: permission denied for {path}."
        case OSError():
            return f"The system refused {path}: {error.strerror}."
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("archestra-filesystem-server", description=__doc__, allow_abbrev=False)
    for flag, is_writable, words in (
        ("--read-only", False, "a folder whose files may be read"),
        ("--read-write", True, "a folder whose files may be read, written and created"),
    ):
        parser.add_argument(
            flag,
            action="append",
            default=[],
            dest="folders",
            metavar="DIR",
            type=_folder_type(is_writable),
            help=f"{words}; may be given several times",
        )
    return parser


def _folder_type(is_writable: bool) -> Callable[[str], Folder]:
    def folder(text: str) -> Folder:
        path = os.path.realpath(os.path.expanduser(text))
        if not os.path.isdir(path):
            raise argparse.ArgumentTypeError(f"{text} is not a folder")
        return Folder(path, is_writable)

    return folder


if __name__ == "__main__":
    main()
