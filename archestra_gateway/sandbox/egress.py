"""The way out of one confined child: listeners in its own network, connections through the gate."""

import asyncio
import contextlib
import secrets
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Self

from archestra_gateway.sandbox import egress_proxy
from archestra_gateway.sandbox.egress_forward import Connection
from archestra_gateway.sandbox.egress_gate import Gate, RefusedError
from archestra_gateway.sandbox.egress_names import Names, answer
from archestra_gateway.sandbox.egress_setup import DNS, PROXY
from archestra_gateway.schemas.permissions import Endpoint

USUAL_PORTS = (22, 80, 443, 465, 587, 993, 3306, 5432, 6379, 8080, 8443, 27017)
"""Where a listener waits besides those that are granted, so that what is refused is noted, too."""

HEAD_TIMEOUT = 10.0
LONGEST_HEAD = 16 * 1024
MOST_CONNECTIONS = 256
CHUNK = 64 * 1024
MOST_LISTENERS = 250
"""The kernel passes at most 253 descriptors at once."""

Accept = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def ports(gate: Gate) -> list[int]:
    """Those of the granted hosts first, then the usual ones."""
    granted = sorted({endpoint.port for endpoint in gate.permissions.endpoints})
    wanted = dict.fromkeys((*granted, *USUAL_PORTS))
    return [port for port in wanted if port not in (DNS, PROXY)][:MOST_LISTENERS]


class Egress:
    """Made before the child, which inherits `theirs`; `begin` after its start, `close` after its end."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.theirs = theirs.detach()
        self._names = Names()
        self._open: list[asyncio.Server | asyncio.BaseTransport] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """The listeners come when the child's launcher has made them."""
        asyncio.get_running_loop().add_reader(self._ours.fileno(), self._receive)

    def close(self) -> None:
        if self._ours.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._ours.fileno())
            self._ours.close()
        for task in self._tasks:
            task.cancel()
        for each in self._open:
            each.close()

    def _receive(self) -> None:
        """Once: what the child itself could send here later is never read."""
        asyncio.get_running_loop().remove_reader(self._ours.fileno())
        with self._ours, contextlib.suppress(OSError):
            _, descriptors, _, _ = socket.recv_fds(self._ours, 64, MOST_LISTENERS + 2)
            if descriptors:
                self._keep(asyncio.create_task(self._serve([socket.socket(fileno=fd) for fd in descriptors])))

    async def _serve(self, sockets: list[socket.socket]) -> None:
        names, proxy, *listeners = sockets
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: NameServer(self._names), sock=names)
        self._open.append(transport)
        await self._listen(proxy, self._proxied)
        for listener in listeners:
            await self._listen(listener, self._straight)

    async def _listen(self, listener: socket.socket, accept: Accept) -> None:
        server = await asyncio.start_server(self._bounded(accept), sock=listener, limit=LONGEST_HEAD)
        self._open.append(server)

    def _bounded(self, accept: Accept) -> Accept:
        """One connection, whatever becomes of it; a crowd is turned away."""

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or len(self._tasks) >= MOST_CONNECTIONS:
                reset(writer)
                return
            self._keep(task)
            try:
                await accept(reader, writer)
            except (RefusedError, OSError, EOFError, TimeoutError, ValueError, asyncio.CancelledError):
                reset(writer)  # only `close` cancels, and asyncio of 3.11 logs a cancelled one
            finally:
                writer.close()

        return serve

    async def _straight(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A program that thinks it reached the host itself."""
        address, port = writer.get_extra_info("sockname")[:2]
        connection = await self._gate.connect(Endpoint(self._names.name_of(address), port))
        await splice((reader, writer), connection)

    async def _proxied(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_proxy(self._gate, reader, writer)

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class LoopbackEgress:
    """Where a child shares the machine's loopback: a proxy with a password, which the child is told."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._password = secrets.token_urlsafe(24)
        self._server: asyncio.Server
        self.port = 0

    @classmethod
    async def open(cls, gate: Gate) -> Self:
        egress = cls(gate)
        egress._server = await asyncio.start_server(egress._serve, "127.0.0.1", 0, limit=LONGEST_HEAD)
        egress.port = egress._server.sockets[0].getsockname()[1]
        return egress

    @property
    def url(self) -> str:
        return f"http://mcp:{self._password}@127.0.0.1:{self.port}"

    def begin(self) -> None:
        """It has begun when it was opened."""

    def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve_proxy(self._gate, reader, writer, self._password)
        except (OSError, EOFError, TimeoutError, ValueError):
            writer.transport.abort()
        finally:
            writer.close()


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, names: Names) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = answer(data, self._names.address_of)
        if reply is not None and self._transport is not None:
            self._transport.sendto(reply, addr)


async def serve_proxy(
    gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, password: str | None = None
) -> None:
    """A program that follows HTTP_PROXY. What is refused gets a sentence."""
    async with asyncio.timeout(HEAD_TIMEOUT):
        head = await reader.readuntil(b"\r\n\r\n")
    if password is not None and not egress_proxy.knows(head, password):
        writer.write(
            egress_proxy.refusal("407 Proxy Authentication Required", "This proxy is another server's")
        )
        await writer.drain()
        return
    try:
        wanted = egress_proxy.parse(head)
        connection = await gate.connect(wanted.endpoint)
    except egress_proxy.NotProxyRequestError:
        writer.write(
            egress_proxy.refusal("400 Bad Request", "This is a proxy: CONNECT host:port, or http://…")
        )
    except RefusedError as error:
        writer.write(egress_proxy.refusal("403 Forbidden", f"{wanted.endpoint} is refused. {error}"))
    except (OSError, TimeoutError) as error:
        sentence = f"{wanted.endpoint} can not be reached: {error or 'time-out'}"
        writer.write(egress_proxy.refusal("502 Bad Gateway", sentence))
    else:
        if wanted.forwarded is None:
            writer.write(egress_proxy.ESTABLISHED)
        else:
            connection[1].write(wanted.forwarded)
        await splice((reader, writer), connection)
        return
    await writer.drain()


def reset(writer: asyncio.StreamWriter) -> None:
    """So that the program sees an error, and no tidy end."""
    linger = struct.pack("ii", 1, 0)
    if (ours := writer.get_extra_info("socket")) is not None:  # None for one that is closed already
        with contextlib.suppress(OSError):
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


async def splice(one: Connection, other: Connection) -> None:
    """Bytes in both directions until both have ended."""
    try:
        await asyncio.gather(_copy(one[0], other[1]), _copy(other[0], one[1]))
    finally:
        other[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
