"""What this machine says about registries reaches the install step, and nothing else of it does."""

from pathlib import Path

import pytest
from pip._internal.models.index import PyPI

from archestra_gateway.packages.settings import Settings
from archestra_gateway.packages.settings_npm import DEFAULTS, NPMRC, npm_settings
from archestra_gateway.packages.settings_pypi import pypi_settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def hosts(settings: Settings) -> set[str]:
    return {str(host) for host in settings.hosts}


def npmrc(settings: Settings) -> list[str]:
    return settings.files[NPMRC].splitlines()


def nothing(home: Path) -> dict[str, str]:
    """Of a machine that has no settings but what a test gives it."""
    return {"XDG_CONFIG_DIRS": str(home / "none"), "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": "/dev/null"}


def test_without_settings_npm_is_npms_own_registry(home: Path) -> None:
    settings = npm_settings({"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "s3cret"}, {}, home, None)

    assert (hosts(settings), settings.names_registry) == (set(), False)
    assert (npmrc(settings), settings.secrets, settings.proxy) == ([], (), None)
    assert set(settings.files) == {NPMRC, DEFAULTS}
    assert all(name.startswith("npm_config_") for name in settings.env)


def test_an_npmrc_is_read_for_what_it_says_about_registries(home: Path, tmp_path: Path) -> None:
    certificate = tmp_path / "corporate.pem"
    certificate.touch()
    (home / ".npmrc").write_text(
        "; a comment\n"
        "registry = https://npm.example:8443/all/\n"
        "@ours:registry=https://ours.example/npm/\n"
        "//ours.example/npm/:_authToken=${OUR_TOKEN}\n"
        f"cafile={certificate}\n"
        "script-shell=/home/me/evil\n"
        "prefix=/home/me/.npm-global\n"
        "init-author-email=me@example.com\n"
        "https-proxy=http://proxy.example:3128\n"
    )

    settings = npm_settings({"OUR_TOKEN": "t0ken"}, {}, home, None)

    assert hosts(settings) == {"npm.example:8443", "ours.example:443"}
    assert npmrc(settings) == [
        "registry=https://npm.example:8443/all/",
        "@ours:registry=https://ours.example/npm/",
        "//ours.example/npm/:_authToken=t0ken",
        f"cafile={certificate}",
    ]
    assert settings.secrets == ("t0ken",)
    assert settings.shown == (str(certificate),)
    assert settings.proxy == "http://proxy.example:3128"


def test_variables_win_over_files_and_a_servers_own_win_over_those(home: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "npmrc").write_text("registry=https://global.example/\nstrict-ssl=false\n")
    npm = str(tmp_path / "bin" / "npm")

    found = [hosts(npm_settings({}, {}, home, npm))]
    (home / ".npmrc").write_text("registry=https://user.example/\n")
    found.append(hosts(npm_settings({}, {}, home, npm)))
    variables = {"NPM_CONFIG_REGISTRY": "https://variable.example/"}
    found.append(hosts(npm_settings(variables, {}, home, npm)))
    own = {"npm_config_registry": "https://own.example/"}
    settings = npm_settings(variables, own, home, npm)

    assert [*found, hosts(settings)] == [
        {"global.example:443"},
        {"user.example:443"},
        {"variable.example:443"},
        {"own.example:443"},
    ]
    assert npmrc(settings) == ["strict-ssl=false", "registry=https://own.example/"]


def test_basic_credentials_are_secrets_in_every_spelling(home: Path) -> None:
    (home / ".npmrc").write_text("//a.example/:_auth=bWU6cGFzc3dvcmQ=\n//b.example/:_password=cGFzc3dvcmQ=\n")

    settings = npm_settings({}, {}, home, None)

    assert set(settings.secrets) == {"bWU6cGFzc3dvcmQ=", "me:password", "password", "cGFzc3dvcmQ="}


def test_without_settings_python_is_pypi(home: Path) -> None:
    settings = pypi_settings(nothing(home), {}, home)

    assert hosts(settings) == {f"{host}:443" for host in (PyPI.netloc, PyPI.file_storage_domain)}
    assert settings.env["UV_INDEX_URL"] == settings.env["PIP_INDEX_URL"] == PyPI.simple_url
    assert (settings.files, settings.secrets, settings.shown) == ({}, (), ())


def test_pips_configuration_is_read_where_uv_was_told_nothing(home: Path, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    certificate = tmp_path / "corporate.pem"
    certificate.touch()
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://me:s3cret@pip.example/simple\n"
        "extra-index-url =\n    https://more.example/simple\n    https://third.example:8080/simple\n"
        f"find-links = {tmp_path / 'wheels'}\ntrusted-host = more.example\n"
        f"[install]\ncert = {certificate}\nproxy = http://proxy.example:8080\n"
    )
    variables = {**nothing(home), "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}

    settings = pypi_settings(variables, {}, home)

    assert hosts(settings) == {"pip.example:443", "more.example:443", "third.example:8080"}
    env = settings.env
    assert env["UV_INDEX_URL"] == env["PIP_INDEX_URL"] == "https://me:s3cret@pip.example/simple"
    assert env["UV_EXTRA_INDEX_URL"] == "https://more.example/simple https://third.example:8080/simple"
    assert (env["UV_INDEX_STRATEGY"], env["UV_INSECURE_HOST"]) == ("unsafe-best-match", "more.example")
    assert env["SSL_CERT_FILE"] == env["PIP_CERT"] == str(certificate)
    assert set(settings.shown) == {str(certificate), str(tmp_path / "wheels")}
    assert (settings.secrets, settings.proxy) == (("s3cret", "s3cret"), "http://proxy.example:8080")
    assert settings.env["UV_NO_CONFIG"] == "1"


def test_uvs_configuration_wins_over_pips(home: Path, tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text(
        '[[index]]\nname = "our-own"\nurl = "https://own.example/simple"\ndefault = true\n'
        '[[index]]\nname = "torch"\nurl = "https://torch.example/whl"\nexplicit = true\n'
    )
    variables = {
        **nothing(home),
        "UV_NO_CONFIG": "",
        "UV_CONFIG_FILE": str(tmp_path / "uv.toml"),
        "UV_INDEX": "more=https://more.example/simple",
        "UV_INDEX_OUR_OWN_USERNAME": "me",
        "UV_INDEX_OUR_OWN_PASSWORD": "p@ss",
        "PIP_INDEX_URL": "https://pip.example/simple",
    }

    settings = pypi_settings(variables, {}, home)

    assert hosts(settings) == {"own.example:443", "more.example:443"}
    assert settings.env["UV_INDEX_URL"] == "https://me:p%40ss@own.example/simple"
    assert set(settings.secrets) == {"p@ss", "p%40ss"}
    assert "UV_INDEX_STRATEGY" not in settings.env


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"])
def test_an_index_for_one_server_wins_over_the_machines(home: Path, name: str) -> None:
    variables = {**nothing(home), "UV_DEFAULT_INDEX": "https://machine.example/simple"}

    settings = pypi_settings(variables, {name: "https://own.example/simple"}, home)

    assert hosts(settings) == {"own.example:443"}
    assert settings.env["UV_INDEX_URL"] == "https://own.example/simple"


def test_a_netrc_gives_what_concerns_the_registries(home: Path) -> None:
    (home / ".netrc").write_text(
        "machine pypi.example login me password s3cret\nmachine other.example login me password 0ther\n"
    )
    variables = {**nothing(home), "UV_DEFAULT_INDEX": "https://pypi.example/simple"}

    settings = pypi_settings(variables, {}, home)

    assert settings.files == {".netrc": "machine pypi.example login me password s3cret\n"}
    assert settings.secrets == ("s3cret",)


def test_a_local_index_is_shown_with_the_files_beside_it(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mirror" / "simple").mkdir(parents=True)
    variables = {**nothing(home), "UV_DEFAULT_INDEX": f"file://{tmp_path}/mirror/simple/"}

    settings = pypi_settings(variables, {}, home)

    assert (settings.shown, settings.hosts) == ((str(tmp_path / "mirror"),), frozenset())
