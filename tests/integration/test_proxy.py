# SPDX-License-Identifier: PostgreSQL
"""The TCP proxy of the tests does what it says: otherwise they prove nothing."""

import socket
import threading
import time

import psycopg2
import pytest
from walmill_testing import Proxy, wait_until


@pytest.fixture
def echo():
    """The address of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        try:
            while piece := connection.recv(4096):
                connection.sendall(piece)
        except OSError:
            pass
        connection.close()

    def accept():
        try:
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
        except OSError:
            pass

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def proxy(echo):
    with Proxy(echo) as made:
        yield made


def dial(proxy):
    client = socket.create_connection(("127.0.0.1", proxy.port))
    client.settimeout(10)
    return client


def exchange(client, text):
    client.sendall(text)
    got = b""
    while len(got) < len(text):
        got += client.recv(4096)
    return got


def silent(client):
    client.settimeout(0.2)
    try:
        return client.recv(1) is None
    except TimeoutError:
        return True
    finally:
        client.settimeout(10)


def cut(client):
    with pytest.raises(ConnectionError):
        while client.recv(4096):
            pass
        raise ConnectionError
    return True


def test_passes_and_closes(proxy):
    client = dial(proxy)
    assert exchange(client, b"x" * 100000) == b"x" * 100000
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1) == b""
    wait_until(lambda: not proxy.connections, "the connection is gone")


def test_cuts_and_refuses(proxy):
    first = dial(proxy)
    assert exchange(first, b"one") == b"one"
    proxy.cut()
    assert cut(first)
    assert exchange(dial(proxy), b"two") == b"two"
    proxy.refuse()
    assert cut(dial(proxy))
    proxy.heal()
    assert exchange(dial(proxy), b"three") == b"three"


def test_cuts_at_a_byte(proxy):
    client = dial(proxy)
    proxy.cut_at(5)
    client.sendall(b"0123456789")
    got = b""
    try:
        while piece := client.recv(100):
            got += piece
    except ConnectionError:
        pass
    # A reset may overtake what was sent before it.
    assert proxy.bytes["down"] == 5 and b"01234".startswith(got)
    assert exchange(dial(proxy), b"x" * 1000) == b"x" * 1000


def test_stalls(proxy):
    client = dial(proxy)
    proxy.stall()
    client.sendall(b"late")
    assert silent(client)
    proxy.heal()
    assert client.recv(4) == b"late"


def test_forgets(proxy):
    old = dial(proxy)
    assert exchange(old, b"one") == b"one"
    proxy.half_open()
    old.sendall(b"two")
    assert exchange(dial(proxy), b"three") == b"three"
    proxy.heal()
    assert silent(old)


def test_delays_and_throttles(proxy):
    client = dial(proxy)
    proxy.delay = 0.1
    begun = time.monotonic()
    exchange(client, b"x")
    assert time.monotonic() - begun >= 0.2
    proxy.heal()
    proxy.rate = 20000
    client = dial(proxy)
    begun = time.monotonic()
    exchange(client, b"x" * 8000)
    assert time.monotonic() - begun >= 0.3


def test_in_front_of_postgres(pg, db):
    with Proxy(pg.socket) as proxy:
        connection = psycopg2.connect(proxy.uri(db.name))
        with connection.cursor() as cursor:
            cursor.execute("SELECT repeat('x', 100000)")
            assert len(cursor.fetchone()[0]) == 100000
            proxy.cut_at(50000)
            with pytest.raises(psycopg2.OperationalError):
                cursor.execute("SELECT repeat('x', 100000)")
        assert proxy.accepted == 1
