"""The network that tests break: what a client sees while it is cut, reset, slow and healed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.testing.kafka import Detour
from shared.testing.ports import free_port
from shared.testing.proxy import TcpProxy, tcp_proxies

HOST = "127.0.0.1"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest_asyncio.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    """In front of a server that sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1000):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, HOST, 0)
    detour = Detour(advertised=free_port(), target=server.sockets[0].getsockname()[1])
    async with tcp_proxies([detour]) as network:
        yield network.proxies[0]
    server.close()


async def connect(proxy: TcpProxy) -> Connection:
    return await asyncio.open_connection(HOST, proxy.port)


async def say(connection: Connection, text: bytes) -> bytes:
    reader, writer = connection
    writer.write(text)
    return await asyncio.wait_for(reader.readexactly(len(text)), 5)


async def is_silent(connection: Connection) -> bool:
    try:
        await asyncio.wait_for(connection[0].read(1), 0.1)
    except TimeoutError:
        return True
    return False


async def test_it_forwards_both_ways_and_passes_the_end_on(proxy: TcpProxy) -> None:
    connection = await connect(proxy)
    assert await say(connection, b"hello") == b"hello"
    connection[1].write_eof()
    assert await connection[0].read() == b""


async def test_while_it_hangs_nothing_arrives_and_nothing_is_lost(proxy: TcpProxy) -> None:
    old = await connect(proxy)
    assert await say(old, b"before") == b"before"
    proxy.hang()
    new = await connect(proxy)
    for connection in (old, new):
        connection[1].write(b"during")
        assert await is_silent(connection)
    await proxy.heal()
    for connection in (old, new):
        assert await asyncio.wait_for(connection[0].readexactly(6), 5) == b"during"


async def test_a_reset_reaches_the_client_and_the_next_connection_is_forwarded(proxy: TcpProxy) -> None:
    old = await connect(proxy)
    assert await say(old, b"before") == b"before"
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await old[0].read()
    assert await say(await connect(proxy), b"after") == b"after"


async def test_dropped_connections_end_and_new_ones_are_refused_until_it_is_healed(proxy: TcpProxy) -> None:
    old = await connect(proxy)
    assert await say(old, b"before") == b"before"
    await proxy.drop()
    assert await old[0].read() == b""
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    await proxy.heal()
    assert await say(await connect(proxy), b"after") == b"after"


async def test_a_delay_is_of_every_byte_and_keeps_their_order(proxy: TcpProxy) -> None:
    connection = await connect(proxy)
    proxy.delay(150)
    connection[1].write(b"one")
    assert await is_silent(connection)
    connection[1].write(b"two")
    assert await asyncio.wait_for(connection[0].readexactly(6), 5) == b"onetwo"


async def test_a_client_can_be_cut_and_reset_while_it_hangs(proxy: TcpProxy) -> None:
    connection = await connect(proxy)
    proxy.hang()
    connection[1].write(b"never")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        await connection[0].read()
    await proxy.drop()
    assert proxy.connections == 0
