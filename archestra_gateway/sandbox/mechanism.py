"""The three ways to confine a child, behind one interface."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Protocol

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox import bubblewrap, landlock, seatbelt, seccomp
from archestra_gateway.sandbox.descriptors import Descriptors
from archestra_gateway.sandbox.egress import Egress, LoopbackEgress, ports
from archestra_gateway.sandbox.egress_gate import Gate
from archestra_gateway.sandbox.policy import Mount, Policy, in_order
from archestra_gateway.sandbox.toolchain import installation

SANDBOX = Path(__file__).parent
PYTHON = os.path.realpath(sys.executable)


@attrs.frozen
class Confined:
    """A command line that confines, what lives with the child, and what the environment gains."""

    argv: list[str]
    egress: Egress | LoopbackEgress | None = None
    env: dict[str, str] = attrs.field(factory=dict, repr=False)


class Mechanism(Protocol):
    @property
    def name(self) -> str:
        """As the status shows it."""

    @property
    def home(self) -> str | None:
        """Where a child sees its private home; None for its own path."""

    async def confine(self, policy: Policy, gate: Gate | None, descriptors: Descriptors) -> Confined:
        """Raises UpstreamUnavailable for what this mechanism can not give."""


@attrs.frozen
class Bubblewrap:
    """Namespaces: what is not granted is not there at all."""

    host: bubblewrap.Host
    as_root: bool
    name: str = "bubblewrap"

    @property
    def home(self) -> str:
        return bubblewrap.HOME

    async def confine(self, policy: Policy, gate: Gate | None, descriptors: Descriptors) -> Confined:
        egress = Egress(gate) if gate else None
        if egress and gate:
            launcher = f"{bubblewrap.TOOLS}/egress_setup.py"
            script = Mount(str(SANDBOX / "egress_setup.py"), launcher)
            python = [Mount.same(path) for path in installation(PYTHON, Path.home())]
            numbers = ",".join(map(str, ports(gate)))
            way_out = [PYTHON, "-I", "-S", launcher, str(descriptors.adopt(egress.theirs)), numbers]
            policy = attrs.evolve(
                policy,
                command=(*way_out, *policy.command),
                mounts=in_order([*policy.mounts, script, *python]),
            )
        has_sockets = policy.listens or policy.local_sockets
        families = seccomp.WITH_LOCAL_SOCKETS if has_sockets else seccomp.WITH_NETWORK
        filtered = seccomp.program(platform.machine(), families)
        make = bubblewrap.command_line_as_root if self.as_root else bubblewrap.command_line
        return Confined(make(policy, self.host, filtered, descriptors.put), egress, proxies(gate))


@attrs.frozen
class Landlock:
    """Rules of the kernel for one process and what comes from it; no network of its own, so none at all."""

    name: str = "landlock"
    home: None = None

    async def confine(self, policy: Policy, gate: Gate | None, descriptors: Descriptors) -> Confined:
        if gate is not None:
            raise UpstreamUnavailable(
                "Hosts can be granted only where bubblewrap is: install it (Debian: apt install bubblewrap)"
            )
        if policy.local_sockets:
            raise UpstreamUnavailable(
                "Local sockets can be granted only where bubblewrap is: install it (Debian: apt install "
                "bubblewrap)"
            )
        if policy.hidden:
            raise UpstreamUnavailable(
                "A granted folder contains the gateway's own data, which only bubblewrap can hide: grant a "
                "smaller one, or install bubblewrap (Debian: apt install bubblewrap)"
            )
        temporary = landlock.temporary(policy.home)
        os.makedirs(temporary, mode=0o700, exist_ok=True)
        orders = descriptors.put(json.dumps(landlock.spec(policy)).encode())
        launcher = str(SANDBOX / "landlock_exec.py")
        argv = [PYTHON, "-I", "-S", launcher, str(orders), *policy.command]
        return Confined(argv, env={"TMPDIR": temporary})


@attrs.frozen
class Seatbelt:
    """sandbox-exec of macOS. The proxy on loopback is the only way out, for programs that follow it."""

    gateway_port: int
    name: str = "sandbox-exec"
    home: None = None

    async def confine(self, policy: Policy, gate: Gate | None, descriptors: Descriptors) -> Confined:
        egress = await LoopbackEgress.open(gate) if gate else None
        temporary = os.path.join(policy.home, "tmp")
        os.makedirs(temporary, mode=0o700, exist_ok=True)
        path = Path(policy.home).parent / "sandbox.sb"
        path.write_text(seatbelt.profile(policy, egress.port if egress else None, self.gateway_port))
        env = {"TMPDIR": temporary, **(proxy_variables(egress.url) if egress else {})}
        return Confined(seatbelt.command_line(policy, str(path)), egress, env)


def proxies(gate: Gate | None) -> dict[str, str]:
    return proxy_variables(bubblewrap.PROXY_URL) if gate else {}


def proxy_variables(url: str) -> dict[str, str]:
    """For programs that follow them; both spellings are in use."""
    values = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": "localhost,127.0.0.1"}
    return {**values, **{name.lower(): value for name, value in values.items()}}
