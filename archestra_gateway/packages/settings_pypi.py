"""Python's index settings on this machine: uv's where there are any, else pip's, as one set of variables."""

import configparser
import netrc
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import attrs

from archestra_gateway.packages.public import INDEX
from archestra_gateway.packages.settings import Settings, credentials, hosts

CERTIFICATES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
DEFAULT_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
PASSED = ("UV_PRERELEASE", "UV_EXCLUDE_NEWER", "UV_HTTP_TIMEOUT", "UV_INDEX_STRATEGY")
CONSTRAINT = "UV_CONSTRAINT"
"""Of which nothing may be seen once the lock is made."""

PIP_SECTIONS = ("global", "install", "download")
PIP_STRATEGY = "unsafe-best-match"
"""pip takes the best version of all its indexes; uv by itself asks the first that knows the package."""

Values = dict[str, list[str]]


@attrs.frozen
class Indexes:
    """Of either program. `strategy` is how several indexes are put together."""

    default: str = INDEX
    extra: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    certificate: str | None = None
    strategy: str | None = None
    proxy: str | None = None


def pypi_settings(environment: Mapping[str, str], overrides: Mapping[str, str], home: Path) -> Settings:
    """`overrides` win over everything that is set on this machine."""
    variables = _overridden(environment, overrides)
    found = _of_uv(variables, home) or _of_pip(variables, home)
    urls = [found.default, *found.extra, *found.links]
    certificate = found.certificate or next((variables[n] for n in CERTIFICATES if variables.get(n)), None)
    local = [*filter(None, map(_local, urls)), *found.constraints, *([certificate] if certificate else [])]
    login, secrets = _netrc(variables, home, urls)
    env = {
        **_env(found, certificate),
        **{name: variables[name] for name in PASSED if name in variables},
        **{name: value for name, value in overrides.items() if name in PASSED},
    }
    return Settings(
        env=env,
        files={".netrc": login} if login else {},
        shown=tuple(path for path in local if os.path.exists(path)),
        hosts=hosts(urls),
        secrets=(*credentials(urls), *secrets),
        proxy=found.proxy,
    )


def _overridden(environment: Mapping[str, str], overrides: Mapping[str, str]) -> dict[str, str]:
    """An index that is named for this package alone takes the place of any other, however it is named."""
    named = [overrides[name] for name in DEFAULT_INDEX if overrides.get(name)]
    kept = {name: value for name, value in environment.items() if not named or name not in DEFAULT_INDEX}
    return {**kept, **overrides, **({DEFAULT_INDEX[0]: named[0]} if named else {})}


def _env(found: Indexes, certificate: str | None) -> dict[str, str]:
    """For uv, and for pip, which brings uv where there is none."""
    env = {
        "UV_NO_CONFIG": "1",
        "UV_SYSTEM_CERTS": "1",
        "UV_INDEX_URL": found.default,
        "UV_EXTRA_INDEX_URL": " ".join(found.extra),
        "UV_FIND_LINKS": ",".join(found.links),
        "UV_INSECURE_HOST": " ".join(found.insecure),
        CONSTRAINT: " ".join(found.constraints),
        "UV_INDEX_STRATEGY": found.strategy or "",
        "SSL_CERT_FILE": certificate or "",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": found.default,
        "PIP_EXTRA_INDEX_URL": " ".join(found.extra),
        "PIP_FIND_LINKS": " ".join(found.links),
        "PIP_TRUSTED_HOST": " ".join(found.insecure),
        "PIP_CERT": certificate or "",
    }
    return {name: value for name, value in env.items() if value}


def _of_uv(variables: Mapping[str, str], home: Path) -> Indexes | None:
    """None when uv was told nothing."""
    tables = [_toml(path) for path in _uv_files(variables, home)]
    named = [index for table in tables for index in table.get("index", []) if isinstance(index, dict)]
    default = [
        *_texts(variables.get("UV_DEFAULT_INDEX")),
        *_texts(variables.get("UV_INDEX_URL")),
        *(_with_login(index.get("name"), index["url"], variables) for index in named if index.get("default")),
        *(text for table in tables for text in _texts(table.get("index-url"))),
    ]
    extra = [
        *(_named(text, variables) for text in _texts(variables.get("UV_INDEX"))),
        *_texts(variables.get("UV_EXTRA_INDEX_URL")),
        *(
            _with_login(index.get("name"), index["url"], variables)
            for index in named
            if not index.get("default") and not index.get("explicit")
        ),
        *(text for table in tables for text in _texts(table.get("extra-index-url"))),
    ]
    links = [
        *(variables.get("UV_FIND_LINKS") or "").replace(",", " ").split(),
        *(text for table in tables for text in _texts(table.get("find-links"))),
    ]
    if not (default or extra or links):
        return None
    strategies = [text for table in tables for text in _texts(table.get("index-strategy"))]
    return Indexes(
        default=_named(default[0], variables) if default else INDEX,
        extra=tuple(dict.fromkeys(extra)),
        links=tuple(dict.fromkeys(links)),
        insecure=(
            *_texts(variables.get("UV_INSECURE_HOST")),
            *(text for table in tables for text in _texts(table.get("allow-insecure-host"))),
        ),
        constraints=tuple(_texts(variables.get(CONSTRAINT))),
        strategy=strategies[0] if strategies else None,
    )


def _of_pip(variables: Mapping[str, str], home: Path) -> Indexes:
    values: Values = {}
    for path in _pip_files(variables, home):
        values.update(_ini(path))
    for name, value in variables.items():
        if name.startswith("PIP_") and value:
            values[name.removeprefix("PIP_").lower().replace("_", "-")] = value.split()
    one = {key: found[0] for key, found in values.items() if found}
    extra, links = values.get("extra-index-url", []), values.get("find-links", [])
    return Indexes(
        default=one.get("index-url", INDEX),
        extra=tuple(extra),
        links=tuple(links),
        insecure=tuple(values.get("trusted-host", [])),
        constraints=tuple(values.get("constraint", [])),
        certificate=one.get("cert"),
        strategy=PIP_STRATEGY if extra or links else None,
        proxy=one.get("proxy"),
    )


def _uv_files(variables: Mapping[str, str], home: Path) -> list[Path]:
    if variables.get("UV_NO_CONFIG"):
        return []
    if named := variables.get("UV_CONFIG_FILE"):
        return [Path(named)]
    user = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    system = (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    return [user / "uv/uv.toml", *(Path(folder, "uv/uv.toml") for folder in system), Path("/etc/uv/uv.toml")]


def _pip_files(variables: Mapping[str, str], home: Path) -> list[Path]:
    """Later ones win."""
    named = variables.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    user = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    system = (variables.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    return [
        *(Path(folder, "pip/pip.conf") for folder in system),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        home / "Library/Application Support/pip/pip.conf",
        user / "pip/pip.conf",
        *([Path(named)] if named else []),
    ]


def _ini(path: Path) -> Values:
    parser = configparser.RawConfigParser()
    try:
        parser.read(path)
    except (configparser.Error, UnicodeDecodeError):
        return {}
    sections = [section for section in PIP_SECTIONS if parser.has_section(section)]
    return {
        key.replace("_", "-"): value.split()
        for section in sections
        for key, value in parser.items(section)
        if value
    }


def _toml(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}
    inner = table.get("pip")
    return {**(inner if isinstance(inner, dict) else {}), **table}


def _texts(value: object) -> list[str]:
    """A text of several words, or a list of texts."""
    if isinstance(value, str):
        return value.split()
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _named(text: str, variables: Mapping[str, str]) -> str:
    """uv's `name=url`."""
    name, has_url, url = text.partition("=")
    return _with_login(name, url, variables) if has_url and "/" not in name else text


def _with_login(name: object, url: str, variables: Mapping[str, str]) -> str:
    """`UV_INDEX_NAME_USERNAME` and `…_PASSWORD` put into the URL."""
    if not isinstance(name, str):
        return url
    prefix = f"UV_INDEX_{''.join(c if c.isalnum() else '_' for c in name).upper()}"
    user, password = variables.get(f"{prefix}_USERNAME"), variables.get(f"{prefix}_PASSWORD")
    parts = urlsplit(url)
    if not (user or password) or parts.username:
        return url
    login = f"{quote(user or '', safe='')}:{quote(password or '', safe='')}"
    return parts._replace(netloc=f"{login}@{parts.netloc}").geturl()


def _local(url: str) -> str | None:
    """What is meant by a `file:` URL or a path; an index `simple` has its files beside it."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/") if parts.scheme == "file" else url
    if not os.path.isabs(path):
        return None
    return os.path.dirname(path) if os.path.basename(path) == "simple" else path


def _netrc(variables: Mapping[str, str], home: Path, urls: Iterable[str]) -> tuple[str, list[str]]:
    """The entries of ~/.netrc for these registries' hosts, and the passwords in them."""
    path = variables.get("NETRC") or str(home / ".netrc")
    try:
        known = netrc.netrc(path).hosts
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return "", []
    wanted = {host for url in urls if (host := urlsplit(url).hostname) in known}
    lines = [f"machine {host} login {known[host][0]} password {known[host][2]}\n" for host in sorted(wanted)]
    return "".join(lines), [known[host][2] for host in wanted if known[host][2]]
