"""npm's settings on this machine: what .npmrc files and variables say about registries, and nothing else."""

import base64
import binascii
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from archestra_gateway.packages.settings import Settings, credentials, hosts

PREFIX = "npm_config_"
KEPT = re.compile(
    r"registry|@[^:]+:registry|//.+:(_authToken|_auth|_password|username|email|certfile|keyfile|always-auth)"
    r"|cafile|ca(\[\])?|strict-ssl|before|min-release-age|fetch-timeout|fetch-retr[a-z-]+|proxy|https-proxy|noproxy"
)
CREDENTIAL = re.compile(r"(_authToken|_auth|_password)$")
FILES = re.compile(r"(certfile|keyfile|cafile)$")
VARIABLE = re.compile(r"\$\{([^}?]+)(\?)?\}")
OWN_CA = "NODE_EXTRA_CA_CERTS"
NPMRC = "npmrc"
DEFAULTS = "npmrc-defaults"
"""What a person's settings win over: npm by itself waits for more than a minute before it gives up."""

Pairs = list[tuple[str, str]]


def npm_settings(
    environment: Mapping[str, str], overrides: Mapping[str, str], home: Path, npm: str | None
) -> Settings:
    """`npm` is the program, which may have an npmrc beside it; `overrides` win over all."""
    own = _named(environment, "globalconfig") or _global_file(npm)
    user = _named(environment, "userconfig") or home / ".npmrc"
    pairs = [
        *(_read(own, environment) if own else []),
        *_read(user, environment),
        *_variables(environment),
        *_variables(overrides),
    ]
    pairs = _last_of_each(pairs)
    values = dict(pairs)
    registries = [value for key, value in pairs if key == "registry" or key.endswith(":registry")]
    shown = [os.path.expanduser(value) for key, value in pairs if FILES.search(key)]
    env = {"npm_config_update_notifier": "false", "npm_config_fund": "false", "npm_config_audit": "false"}
    if own_ca := environment.get(OWN_CA):
        env[OWN_CA] = own_ca
        shown.append(own_ca)
    return Settings(
        env=env,
        files={
            NPMRC: "".join(f"{key}={value}\n" for key, value in pairs if "proxy" not in key),
            DEFAULTS: "fetch-retry-mintimeout=1000\nfetch-retry-maxtimeout=10000\n",
        },
        shown=tuple(path for path in shown if os.path.isfile(path)),
        hosts=hosts(registries),
        names_registry="registry" in values,
        secrets=tuple(_secrets(pairs)),
        proxy=values.get("https-proxy") or values.get("proxy"),
    )


def _named(environment: Mapping[str, str], key: str) -> Path | None:
    named = [value for name, value in environment.items() if name.lower() == PREFIX + key and value]
    return Path(named[0]) if named else None


def _global_file(npm: str | None) -> Path | None:
    """`etc/npmrc` in the prefix that npm was installed into, such as /usr."""
    places = Path(os.path.realpath(npm)).parents if npm else ()
    return next((file for place in places if (file := place / "etc" / NPMRC).is_file()), None)


def _read(path: Path, environment: Mapping[str, str]) -> Pairs:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        key, has_value, value = (part.strip() for part in line.partition("="))
        if has_value and not line.lstrip().startswith(("#", ";")) and KEPT.fullmatch(key):
            found.append((key, _expanded(_unquoted(value), environment)))
    return found


def _unquoted(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


def _expanded(value: str, environment: Mapping[str, str]) -> str:
    """`${NAME}` as npm reads it: one that is not set stays as it is, `${NAME?}` becomes nothing."""
    return VARIABLE.sub(lambda match: environment.get(match[1], "" if match[2] else match[0]), value)


def _variables(environment: Mapping[str, str]) -> Pairs:
    found = []
    for name, value in environment.items():
        if name.lower().startswith(PREFIX) and value:
            key = name[len(PREFIX) :]
            key = key if key.startswith("//") else key.lower().replace("_", "-")
            if KEPT.fullmatch(key):
                found.append((key, value))
    return found


def _last_of_each(pairs: Iterable[tuple[str, str]]) -> Pairs:
    """The later wins; a list (`ca[]`) keeps all."""
    pairs = list(pairs)
    last = {key: index for index, (key, _) in enumerate(pairs)}
    return [pair for index, pair in enumerate(pairs) if pair[0].endswith("[]") or last[pair[0]] == index]


def _secrets(pairs: Pairs) -> Iterable[str]:
    for key, value in pairs:
        if CREDENTIAL.search(key):
            yield value
            if not key.endswith("_authToken"):
                yield from _decoded(value)
    yield from credentials(value for _, value in pairs)


def _decoded(value: str) -> list[str]:
    """`_auth` is base64 of user:password, `_password` of the password."""
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return []
    return [text, text.partition(":")[2]] if ":" in text else [text]
