"""How a server's child is started under the permissions that a person gave."""

import asyncio
import os
from collections.abc import Mapping

import attrs

from archestra_gateway.errors import UpstreamUnavailable
from archestra_gateway.sandbox.command import Launch, launch
from archestra_gateway.sandbox.descriptors import Descriptors
from archestra_gateway.sandbox.egress_gate import DenialList, Gate
from archestra_gateway.sandbox.grants import Place, Wish, policy
from archestra_gateway.sandbox.mechanism import Mechanism
from archestra_gateway.sandbox.path import SearchPath
from archestra_gateway.sandbox.policy import Policy, is_within
from archestra_gateway.sandbox.trial import Found, find
from archestra_gateway.sandbox.user import give
from archestra_gateway.sandbox.watch import Bounds

FOLDER = 0o700
AS_ROOT = (
    "The MCP server {} has no sandbox, and would be root as the gateway is: run the gateway as another user, "
    "turn the sandbox on, or set `mcp.allow_root` in the gateway's configuration"
)


@attrs.define(eq=False)
class Sandbox:
    """`gateway_port` is ours, which no child may reach, whatever it is granted.

    `allows_root` is the daemon's setting for servers without a sandbox, below a daemon that is root.
    """

    place: Place
    gateway_port: int
    allows_root: bool = False
    _found: Found | None = None
    _finding: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    async def found(self, search: SearchPath) -> Found:
        """Tried when first asked for; again, when something was missing on a path that was not whole."""
        async with self._finding:
            if self._found is not None:
                return self._found
            found = await find(search, self.gateway_port)
            if search.is_whole or not found.why:
                self._found = found
            return found

    def use(self, mechanism: Mechanism) -> None:
        """This one, without a trial."""
        self._found = Found(mechanism)

    async def launch(
        self, wish: Wish, search: SearchPath, environment: Mapping[str, str], denials: DenialList
    ) -> Launch:
        """Raises UpstreamUnavailable for what is not there, and where nothing can confine it."""
        if wish.permissions.sandbox == "off":
            if os.geteuid() == 0 and not self.allows_root:
                raise UpstreamUnavailable(AS_ROOT.format(wish.name), name=wish.name)
            return launch(wish.config, search, environment)
        found = await self.found(search)
        mechanism = found.mechanism
        if mechanism is None:
            raise UpstreamUnavailable(found.refusal, name=wish.name)
        child = await asyncio.to_thread(policy, wish, self.place, search, environment, mechanism.home)
        await asyncio.to_thread(self._make_home, child)
        gate = Gate(wish.permissions, denials, self.gateway_port) if child.reaches_out else None
        return await confined(mechanism, child, gate, {name: child.env[name] for name in wish.config.env})

    def describe(self) -> dict[str, object]:
        """For the gateway's status; nothing is known before the first start."""
        found = self._found
        if found is None:
            return {"mechanism": None}
        return {"mechanism": found.mechanism.name if found.mechanism else "none", "problems": list(found.why)}

    def _make_home(self, child: Policy) -> None:
        """Below a daemon that is root, the child's home and our `files` folder become the child's."""
        os.makedirs(child.home, mode=FOLDER, exist_ok=True)
        own = os.path.realpath(self.place.data_dir)
        for mount in child.mounts:
            if mount.is_writable and is_within(mount.source, own):
                give(mount.source, child.uid, child.gid)


async def confined(
    mechanism: Mechanism, child: Policy, gate: Gate | None, wanted: Mapping[str, str]
) -> Launch:
    """`wanted` are the variables that a person set, which win over ours."""
    descriptors = Descriptors()
    try:
        made = await mechanism.confine(child, gate, descriptors)
    except BaseException:
        descriptors.close()
        raise
    return Launch(
        argv=tuple(made.argv),
        env={**child.env, **made.env, **wanted},
        cwd="/",
        sandbox=mechanism.name,
        descriptors=tuple(descriptors.numbers),
        egress=made.egress,
        bounds=Bounds(child.limits, child.home),
    )
