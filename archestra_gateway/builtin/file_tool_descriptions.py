"""How the filesystem tools describe themselves in `tools/list`: names, schemas and hints, a table."""

from collections.abc import Sequence

from archestra_gateway.builtin import file_search, file_tools
from archestra_gateway.builtin.stdio_server import Json

STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}
BOOLEAN: Json = {"type": "boolean"}
PATH = STRING | {"description": "Absolute, or relative to the first allowed folder."}
ENCODING = STRING | {
    "enum": ["utf-8", "base64"],
    "default": "utf-8",
    "description": "base64 is for files that are not text.",
}
READS: Json = {"readOnlyHint": True, "openWorldHint": False}
WRITES: Json = {
    "readOnlyHint": False,
    "destructiveHint": True,
    "idempotentHint": True,
    "openWorldHint": False,
}


def takes(required: Sequence[str] = (), **properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def gives(required: Sequence[str], **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def list_of(item: Json) -> Json:
    return {"type": "array", "items": item}


READ_FILE: Json = {
    "name": "read_file",
    "title": "Read a file",
    "description": "Read a file, or a part of a large one.",
    "inputSchema": takes(
        ["path"],
        path=PATH,
        encoding=ENCODING,
        offset=INTEGER | {"minimum": 0, "default": 0, "description": "The byte to begin at."},
        limit=INTEGER
        | {
            "minimum": 16,
            "maximum": file_tools.READ_LIMIT,
            "default": file_tools.READ_DEFAULT,
            "description": "How many bytes to read at most.",
        },
    ),
    "annotations": READS,
}
WRITE_FILE: Json = {
    "name": "write_file",
    "title": "Write a file",
    "description": "Create a file, or replace the whole content of one.",
    "inputSchema": takes(
        ["path", "content"],
        path=PATH,
        content=STRING,
        encoding=ENCODING,
        create_parents=BOOLEAN | {"default": False, "description": "Create the folders that are missing."},
    ),
    "annotations": WRITES,
}
LIST_DIRECTORY: Json = {
    "name": "list_directory",
    "title": "List a folder",
    "description": "List what lies in a folder: names, types and sizes.",
    "inputSchema": takes(path=PATH | {"default": "."}),
    "outputSchema": gives(
        ["path", "entries", "total", "is_cut"],
        path=STRING,
        entries=list_of(gives(["name", "type"], name=STRING, type=STRING, size=INTEGER)),
        total=INTEGER,
        is_cut=BOOLEAN,
    ),
    "annotations": READS,
}
SEARCH_FILES: Json = {
    "name": "search_files",
    "title": "Search files",
    "description": "Find files and folders by a glob pattern, or lines of text files that contain a text.",
    "inputSchema": takes(
        path=PATH | {"default": "."},
        pattern=STRING
        | {"default": "*", "description": "*.md looks at names at any depth; src/**/*.py at whole paths."},
        content=STRING
        | {"default": "", "description": "A text that the file contains; upper and lower case differ."},
        max_results=INTEGER | {"minimum": 1, "maximum": file_search.MAX_RESULTS, "default": 100},
        max_depth=INTEGER | {"minimum": 1, "maximum": file_search.MAX_DEPTH, "default": 20},
    ),
    "outputSchema": gives(
        ["results", "is_cut"],
        results=list_of(gives(["path", "type"], path=STRING, type=STRING, line=INTEGER, text=STRING)),
        is_cut=BOOLEAN,
        reason=STRING,
        unreadable=INTEGER,
    ),
    "annotations": READS,
}
FILE_INFO: Json = {
    "name": "file_info",
    "title": "File information",
    "description": "Tell type, size, time of the last change and permissions of a file or folder.",
    "inputSchema": takes(["path"], path=PATH),
    "outputSchema": gives(
        ["path", "type", "size", "modified", "permissions", "is_in_writable_folder"],
        path=STRING,
        type=STRING,
        size=INTEGER,
        modified=STRING,
        permissions=STRING,
        is_in_writable_folder=BOOLEAN,
    ),
    "annotations": READS,
}
