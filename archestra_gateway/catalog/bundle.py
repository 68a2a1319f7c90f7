"""The manifest of an `.mcpb` or `.dxt` bundle (versions 0.1 to 0.4) as a recipe. Pure.

https://github.com/modelcontextprotocol/mcpb/blob/main/MANIFEST.md
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from archestra_gateway.catalog.recipe import Grants, Input, InputType, Recipe
from archestra_gateway.catalog.text import plain, slug

VERSIONS = ("0.1", "0.2", "0.3", "0.4")
TYPES: Mapping[str, InputType] = {
    "string": "text",
    "number": "number",
    "boolean": "boolean",
    "directory": "folder",
    "file": "file",
}
VARIABLE = re.compile(r"\$\{([^${}]+)\}")
MOST = 256
READ_ONLY = "What you choose here it may read; pass `permissions` to let it write there."


class NotABundle(ValueError):
    """The sentence says what is wrong."""


@attrs.frozen
class Surroundings:
    """What a manifest may refer to: the unpacked bundle and the person's folders."""

    folder: str
    home: str
    platform: str = sys.platform

    def value(self, name: str) -> str | None:
        common = {"HOME": "", "DESKTOP": "Desktop", "DOCUMENTS": "Documents", "DOWNLOADS": "Downloads"}
        if name in common:
            return os.path.join(self.home, common[name]).rstrip("/")
        return {"__dirname": self.folder, "pathSeparator": "/", "/": "/"}.get(name)


def read(manifest: Any, around: Surroundings) -> Recipe:
    """Raises NotABundle for a manifest that does not follow its schema."""
    if not isinstance(manifest, dict):
        raise NotABundle("Its manifest.json is not an object")
    version = manifest.get("manifest_version", manifest.get("dxt_version"))
    if version not in VERSIONS:
        raise NotABundle(
            f"Its manifest has the version {plain(version) or 'of nothing'}, which is not known here"
        )
    name, server = _required(manifest, "name", str), _required(manifest, "server", dict)
    _required(manifest, "version", str)
    _required(_required(manifest, "author", dict), "name", str)
    base = Recipe(
        name=slug(name),
        title=plain(manifest.get("display_name"), 100) or plain(name, 100),
        description=plain(_required(manifest, "description", str), 300),
    )
    problem = _problem(manifest, server, around)
    if problem:
        return attrs.evolve(base, problem=problem)
    inputs = tuple(_inputs(manifest.get("user_config", {}), around))
    return _started(base, _config(server, around.platform), inputs, around)


def _problem(manifest: Mapping[str, Any], server: Mapping[str, Any], around: Surroundings) -> str | None:
    kind = _required(server, "type", str)
    if kind not in ("node", "python", "binary", "uv"):
        raise NotABundle(f"`server.type` is {plain(kind)}, which is not known here")
    if kind == "uv":
        return "Its Python packages would have to be installed by uv first, which the gateway does not do yet"
    compatibility = manifest.get("compatibility")
    platforms = compatibility.get("platforms") if isinstance(compatibility, dict) else None
    if isinstance(platforms, list) and platforms and around.platform not in platforms:
        return f"It runs on {', '.join(plain(each, 20) for each in platforms)}, and not on {around.platform}"
    return None


def _config(server: Mapping[str, Any], platform: str) -> Mapping[str, Any]:
    """`mcp_config` with what is special on this platform."""
    config: Mapping[str, Any] = _required(server, "mcp_config", dict)
    overrides = config.get("platform_overrides")
    special = overrides.get(platform) if isinstance(overrides, dict) else None
    if not isinstance(special, dict):
        return config
    env = {**_texts(config.get("env")), **_texts(special.get("env"))}
    return {**config, **{key: special[key] for key in ("command", "args") if special.get(key)}, "env": env}


def _started(
    base: Recipe, config: Mapping[str, Any], inputs: tuple[Input, ...], around: Surroundings
) -> Recipe:
    replace = _replacer({each.name for each in inputs}, around)
    command = replace(_required(config, "command", str))
    if command == "python" and around.platform != "win32":
        command = "python3"
    if "/" in command and not command.startswith("$"):
        command = os.path.join(around.folder, command)
    args = config.get("args", [])
    if not isinstance(args, list) or not all(isinstance(each, str) for each in args):
        raise NotABundle("`server.mcp_config.args` is not a list of texts")
    paths = tuple(f"${{input:{each.name}}}" for each in inputs if each.type in ("folder", "file"))
    return attrs.evolve(
        base,
        command=command,
        args=tuple(_groups([replace(each) for each in args[:MOST]], inputs)),
        env={name: replace(text) for name, text in _texts(config.get("env")).items()},
        cwd=around.folder,
        inputs=inputs,
        grants=Grants(read_only=paths),
        notes=(READ_ONLY,) if paths else (),
    )


def _groups(args: list[str], inputs: tuple[Input, ...]) -> list[tuple[str, ...]]:
    """A flag goes when its value is left out."""
    optional = {f"${{input:{each.name}}}" for each in inputs if not each.required and not each.multiple}
    groups: list[tuple[str, ...]] = []
    for text in args:
        before = groups[-1] if groups else ()
        if text in optional and len(before) == 1 and before[0].startswith("-") and "=" not in before[0]:
            groups[-1] = (before[0], text)
        else:
            groups.append((text,))
    return groups


def _inputs(table: Any, around: Surroundings) -> list[Input]:
    if not isinstance(table, dict):
        raise NotABundle("`user_config` is not an object")
    return [_input(name, data, around) for name, data in list(table.items())[:MOST]]


def _input(name: str, data: Any, around: Surroundings) -> Input:
    if not isinstance(data, dict) or data.get("type") not in TYPES:
        raise NotABundle(f"`user_config.{plain(name)}` has none of the types {', '.join(TYPES)}")
    default = data.get("default")
    defaults = default if isinstance(default, list) else [] if default is None else [default]
    replace = _replacer(set(), around)
    return Input(
        name=name,
        title=plain(data.get("title"), 100) or plain(name, 100),
        description=plain(data.get("description"), 500),
        type=TYPES[data["type"]],
        required=data.get("required") is True,
        secret=data.get("sensitive") is True,
        multiple=data.get("multiple") is True,
        default=tuple(replace(_text(each)) for each in defaults if each not in ("", None)),
        min=_number(data.get("min")),
        max=_number(data.get("max")),
    )


def _replacer(inputs: set[str], around: Surroundings) -> Callable[[str], str]:
    def value(match: re.Match[str]) -> str:
        key = match[1].removeprefix("user_config.")
        if key != match[1] and key in inputs:
            return f"${{input:{key}}}"
        found = around.value(match[1])
        return match[0] if found is None else found

    return lambda text: VARIABLE.sub(value, text)


def _required(data: Mapping[str, Any], key: str, kind: type) -> Any:
    value = data.get(key)
    if not isinstance(value, kind) or not value:
        raise NotABundle(f"Its manifest has no `{key}`")
    return value


def _texts(value: Any) -> dict[str, str]:
    return (
        {name: text for name, text in value.items() if isinstance(text, str)}
        if isinstance(value, dict)
        else {}
    )


def _text(value: Any) -> str:
    """Booleans and numbers as the specification writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
