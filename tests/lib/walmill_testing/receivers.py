# SPDX-License-Identifier: PostgreSQL
"""Those whom alerts go to: an HTTP server and a mail server, which keep what they were told."""

import asyncio
import email
import email.policy
import http.server
import json
import socket
import ssl
import subprocess
import threading

from .wait import wait_until


class Certificate:
    """Signed by itself, for this host."""

    def __init__(self, folder):
        self.path, self.key = folder / "certificate.pem", folder / "key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", self.key,
                        "-out", self.path, "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path, self.key)
        return context


class _Receiver:
    """messages: dictionaries with state, kind and object at least, oldest first."""

    def __init__(self):
        self.messages = []

    def told(self, state, kind, **fields):
        """The messages of this state and kind."""
        return [m for m in self.messages if m["state"] == state and m["kind"] == kind
                and all(m[name] == value for name, value in fields.items())]

    def wait(self, state, kind, timeout=20, **fields):
        """The first such message, once there is one."""
        return wait_until(lambda: self.told(state, kind, **fields), f"{kind} {state}, not {self.messages}", timeout)[0]


class Hook(_Receiver):
    """Takes POSTs; answers with the status `answer`, or not at all while `hang` is not set."""

    def __init__(self, certificate=None, port=0):
        super().__init__()
        self.answer = 200
        self.requests = 0
        self.headers = []
        self.connections = []
        self.go_on = threading.Event()
        self.go_on.set()
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                hook.connections.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.requests += 1
                hook.go_on.wait()
                if hook.answer == 200:
                    hook.headers.append(dict(self.headers))
                    hook.messages.append(json.loads(body))
                self.send_response(hook.answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.port = self.server.server_address[1]
        self.scheme = "http"
        if certificate is not None:
            self.scheme = "https"
            self.server.socket = certificate.context().wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def origin(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def close(self):
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()
        for each in self.connections:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class MailServer(_Receiver):
    """An SMTP server; options as aiosmtpd's SMTP has them; tls: a certificate, TLS from the start."""

    def __init__(self, tls=None, **options):
        # Not at the top: only tests of mail need it.
        from aiosmtpd.smtp import SMTP
        super().__init__()
        self.mails = []
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(self.loop.create_server(
            lambda: SMTP(self, loop=self.loop, **options), "127.0.0.1", 0, ssl=tls and tls.context()))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        state, rest = mail["Subject"].removeprefix("[walmill] ").split(": ", 1)
        kind, rest = rest.split(", ", 1)
        self.mails.append((mail, envelope, session.ssl is not None))
        self.messages.append({"state": state, "kind": kind, "object": rest.split('"')[1], "reason": mail.get_content()})
        return "250 taken"

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.server.close()
        self.loop.close()
