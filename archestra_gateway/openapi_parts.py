"""What no row tells the OpenAPI document: the words before it, the forms of errors and of JSON-RPC."""

from archestra_gateway.json_schema import Json
from archestra_gateway.web import envelope

DESCRIPTION = """\
Requests to `/llm/{provider}/…` are passed on to the provider as they are, whatever their method and path, so
the provider's own documentation holds for them and they are not listed here.

Every error has a code for programs, a sentence for people and, where there is more to say, details:
`{"error": {"code": "RESOURCE_NOT_FOUND", "message": "MCP server not found", "details": {"name": "files"}}}`.

Programs on this machine need no token. Pages of origins that the gateway does not know, and everybody in
token-always mode, send the one that `archestra-gateway token` prints.
"""

ERROR: Json = {
    "type": "object",
    "description": "The one form of every error.",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {
                    "type": "string",
                    "enum": list(envelope.STATUS),
                    "description": ", ".join(
                        f"`{code}` {status}" for code, status in envelope.STATUS.items()
                    ),
                },
                "message": {"type": "string", "description": "What happened, and what to do about it."},
                "details": {"type": "object"},
            },
            "required": ["code", "message"],
        }
    },
    "required": ["error"],
}
JSONRPC_REQUEST: Json = {
    "type": "object",
    "description": "A JSON-RPC message of the Model Context Protocol.",
    "examples": [
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {"name": "read_file", "arguments": {"path": "notes.txt"}},
        }
    ],
}
JSONRPC_ANSWER: Json = {"type": "object", "description": "A JSON-RPC answer."}
JSONRPC_ERROR: Json = {
    "type": "object",
    "description": "A JSON-RPC error, which carries ours.",
    "properties": {
        "jsonrpc": {"type": "string", "const": "2.0"},
        "id": {"type": ["string", "integer", "null"]},
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "data": {"$ref": "#/components/schemas/ErrorEnvelope"},
            },
            "required": ["code", "message"],
        },
    },
    "required": ["jsonrpc", "error"],
}
ERROR_SCHEMAS: Json = {"ErrorEnvelope": ERROR, "JsonRpcError": JSONRPC_ERROR}
SESSION: Json = {
    "name": "Mcp-Session-Id",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The session that `initialize` began. A single call needs none.",
}
