# SPDX-License-Identifier: PostgreSQL
"""A TCP proxy that does to connections what networks do: cuts, delays, throttles, stalls, forgets.

    with Proxy(cluster.socket) as proxy:
        d = daemon(rules, sources={"shop": proxy.uri(db.name)})
        proxy.cut_at(10000)
"""

import socket
import struct
import threading
import time

CHUNK = 65536
UP, DOWN = "up", "down"         # towards the server, towards the client


class _Connection:
    def __init__(self, client, server):
        self.ends = (client, server)
        self.forgotten = False      # nothing passes any more, and nobody is told
        self.ended = set()          # the directions that came to an end

    def reset(self):
        for end in self.ends:
            try:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)      # wakes whoever reads from it
            except OSError:
                pass
            end.close()


class Proxy:
    """Listens on 127.0.0.1:port; upstream is (host, port) or the path of a Unix socket."""

    def __init__(self, upstream):
        self.upstream = upstream
        self.delay = 0.0            # seconds that every piece is late
        self.rate = None            # bytes a second and direction, at most
        self.connections = []       # those that are open
        self.accepted = 0           # how many there have been
        self.bytes = {UP: 0, DOWN: 0}
        self._limits = {}
        self._refusing = False
        self._stalled = False
        self._closed = False
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def uri(self, database, user="postgres"):
        """For an upstream that is a PostgreSQL."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    # ---- faults; heal() ends all that last ----

    def cut(self):
        """Resets every connection that is open; new ones are let through."""
        with self._changed:
            gone, self.connections = self.connections, []
            self._changed.notify_all()
        for connection in gone:
            connection.reset()

    def cut_at(self, count, direction=DOWN):
        """Passes that many more bytes of a direction, all connections together, then cuts as cut() does, once."""
        with self._changed:
            self._limits[direction] = self.bytes[direction] + count

    def refuse(self, cut=True):
        """Resets every new connection as soon as it is made, those that are open too unless cut is False."""
        with self._changed:
            self._refusing = True
        if cut:
            self.cut()

    def stall(self):
        """Holds everything that comes, in open and in new connections; heal() lets it through."""
        with self._changed:
            self._stalled = True

    def half_open(self):
        """Forgets the open connections as a firewall does: nothing passes them again, neither end is told."""
        with self._changed:
            for connection in self.connections:
                connection.forgotten = True

    def heal(self):
        with self._changed:
            self.delay, self.rate = 0.0, None
            self._limits = {}
            self._refusing = self._stalled = False
            self._changed.notify_all()

    def close(self):
        with self._changed:
            self._closed = True
        # A thread in accept() keeps the port open: shutdown ends that.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    # ---- threads: one that accepts, two for each connection ----

    def _accept(self):
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = None if self._refusing else self._dial()
            if server is None:
                _Connection(client, client).reset()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = _Connection(client, server)
            with self._changed:
                self.connections.append(connection)
                self.accepted += 1
            for direction, source, sink in ((UP, client, server), (DOWN, server, client)):
                threading.Thread(target=self._pump, args=(connection, direction, source, sink), daemon=True).start()

    def _dial(self):
        """None when the server does not listen."""
        try:
            if isinstance(self.upstream, tuple):
                return socket.create_connection(self.upstream)
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self.upstream))
            return server
        except OSError:
            return None

    def _pump(self, connection, direction, source, sink):
        try:
            while piece := source.recv(CHUNK if self.rate is None else max(1, int(self.rate / 20))):
                if self.delay:
                    time.sleep(self.delay)
                if not self._may_pass(connection):
                    continue
                piece, last = self._counted(direction, piece)
                sink.sendall(piece)
                if last:
                    return self.cut()
                if self.rate is not None:
                    time.sleep(len(piece) / self.rate)
            if not connection.forgotten:
                sink.shutdown(socket.SHUT_WR)
                self._ended(connection, direction)
        except OSError:
            self._drop(connection)
        return None

    def _may_pass(self, connection):
        with self._changed:
            self._changed.wait_for(lambda: not self._stalled or connection not in self.connections)
            return not connection.forgotten

    def _counted(self, direction, piece):
        """What may pass of a piece, and whether the connection is to be cut behind it."""
        with self._changed:
            left = self._limits.get(direction, float("inf")) - self.bytes[direction]
            last = len(piece) >= left
            if last:
                del self._limits[direction]
                piece = piece[:left]
            self.bytes[direction] += len(piece)
            return piece, last

    def _ended(self, connection, direction):
        """The second direction that ends closes both sockets."""
        with self._changed:
            connection.ended.add(direction)
            both = len(connection.ended) == 2
        if both:
            self._drop(connection)

    def _drop(self, connection):
        with self._changed:
            if connection in self.connections:
                self.connections.remove(connection)
            self._changed.notify_all()
        connection.reset()
