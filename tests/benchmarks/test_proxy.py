"""The proxy counts what a wire would see, on exchanges whose every packet is known."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from harness.proxy import Proxy, Tally, Turns
from hawkapi_sqlalchemy.pytest.servers.waiting import wait_until


class Script:
    """A server that greets, and answers each line with as many pieces as the line says."""

    def __init__(self) -> None:
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"greeting\n")
        with contextlib.suppress(ConnectionError):
            said = 0
            while line := await reader.readline():
                said += int(line)
                for _ in range(int(line)):
                    writer.write(b"piece\n")
                    await writer.drain()
            if said:
                writer.write(b"the end\n")
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(Script().serve, "127.0.0.1", 0)
    async with server:
        with Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
            yield proxy
            # It joins its thread, which waits for no loop of ours.


@contextlib.asynccontextmanager
async def connected(
    proxy: Proxy,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    assert await reader.readline() == b"greeting\n"
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_request_with_its_answer_is_one_round_trip(proxy: Proxy) -> None:
    async with connected(proxy) as (reader, writer):
        for number in range(1, 6):
            writer.write(b"1\n")
            await reader.readline()
            assert proxy.tally == Tally(round_trips=number, connections=1)


async def test_an_answer_in_several_pieces_is_one_round_trip(proxy: Proxy) -> None:
    async with connected(proxy) as (reader, writer):
        writer.write(b"50\n")
        for _ in range(50):
            await reader.readline()
        assert proxy.tally.round_trips == 1


async def test_requests_sent_together_are_one_round_trip(proxy: Proxy) -> None:
    """What goes out in one piece is on its way once, however many answers there are."""
    async with connected(proxy) as (reader, writer):
        writer.write(b"1\n1\n1\n")
        for _ in range(3):
            await reader.readline()
        assert proxy.tally.round_trips == 1


async def test_a_farewell_and_a_greeting_are_no_round_trips(proxy: Proxy) -> None:
    async with connected(proxy) as (_, writer):
        writer.write(b"0\n")
        await writer.drain()
    async with connected(proxy):
        assert proxy.tally == Tally(round_trips=0, connections=2)


async def test_a_half_closed_connection_still_gets_its_answer(proxy: Proxy) -> None:
    async with connected(proxy) as (reader, writer):
        writer.write(b"1\n")
        writer.write_eof()
        assert await reader.read() == b"piece\nthe end\n"


async def test_connections_are_counted_one_by_one(proxy: Proxy) -> None:
    before = proxy.tally
    async with contextlib.AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(connected(proxy)) for _ in range(4)]
        for reader, writer in streams:
            writer.write(b"1\n")
            await reader.readline()
        assert proxy.open_connections == 4
        assert proxy.tally - before == Tally(round_trips=4, connections=4)

    await asyncio.to_thread(
        wait_until, lambda: proxy.open_connections == 0, what="all connections are closed"
    )
    assert proxy.tally - before == Tally(round_trips=4, connections=4)


def test_only_an_answered_change_of_direction_counts() -> None:
    turns = Turns()

    turns.server_sent()
    turns.client_sent()
    turns.client_sent()
    assert turns.round_trips == 0

    turns.server_sent()
    turns.server_sent()
    assert turns.round_trips == 1

    turns.client_sent()
    turns.server_sent()
    assert turns.round_trips == 2
