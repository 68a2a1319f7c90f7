"""What a tool gave back: all of it for people, and as text of bounded length for the model. Pure."""

from typing import Any

import attrs
import msgspec

LARGEST_BLOB = 1024 * 1024
"""Base64 characters of one picture or sound that a chat keeps."""


@attrs.frozen
class Outcome:
    """`output` is what the chat shows and keeps; `text` is for the model."""

    output: Any
    text: str
    is_error: bool = False


def failed(message: str) -> Outcome:
    return Outcome(None, message, is_error=True)


def cut(text: str, limit: int) -> str:
    """The model is told what it does not see."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n\n[Cut here: these are the first {limit} of {len(text)} characters]"


def read_result(result: Any, limit: int) -> Outcome:
    """An MCP `CallToolResult`."""
    if not isinstance(result, dict):
        return failed("The tool answered with something that is not an MCP result")
    kept = {key: value for key, value in result.items() if key != "_meta"}
    content = result.get("content")
    if isinstance(content, list):
        kept["content"] = [_kept(item, limit) for item in content]
    text = cut(_said(kept), limit)
    structured = kept.get("structuredContent")
    if structured is not None and len(_json(structured)) > limit:
        del kept["structuredContent"]
    return Outcome(kept, text, is_error=result.get("isError") is True)


def read_output(output: Any, limit: int) -> Outcome:
    """What a tool part holds: an MCP result, or whatever a client's own tool said."""
    if isinstance(output, dict) and isinstance(output.get("content"), list):
        return read_result(output, limit)
    return Outcome(output, cut(output if isinstance(output, str) else _json(output), limit))


def _kept(item: Any, limit: int) -> Any:
    if not isinstance(item, dict):
        return item
    if isinstance(item.get("text"), str):
        return {**item, "text": cut(item["text"], limit)}
    data = item.get("data")
    if isinstance(data, str) and len(data) > LARGEST_BLOB:
        return {"type": "text", "text": f"[{_blob(item)}, too large to be kept]"}
    resource = item.get("resource")
    if isinstance(resource, dict):
        blob = resource.get("blob")
        if isinstance(blob, str) and len(blob) > LARGEST_BLOB:
            return {"type": "text", "text": f"[The resource {resource.get('uri')}, too large to be kept]"}
        return {**item, "resource": _kept(resource, limit)}
    return item


def _said(result: dict[str, Any]) -> str:
    content = result.get("content")
    items = content if isinstance(content, list) else []
    text = "\n".join(_item_text(item) for item in items if isinstance(item, dict))
    if text or result.get("structuredContent") is None:
        return text or "(no output)"
    return _json(result["structuredContent"])


def _item_text(item: dict[str, Any]) -> str:
    if isinstance(item.get("text"), str):
        return str(item["text"])
    resource = item.get("resource")
    if isinstance(resource, dict):
        text = resource.get("text")
        return text if isinstance(text, str) else f"[The resource {resource.get('uri')}]"
    if item.get("type") == "resource_link":
        return f"[The resource {item.get('uri')}: {item.get('name', '')}]"
    return f"[{_blob(item)}]"


def _blob(item: dict[str, Any]) -> str:
    size = len(str(item.get("data", ""))) * 3 // 4
    return f"{item.get('type', 'something')} {item.get('mimeType', '')}, {size} bytes"


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
