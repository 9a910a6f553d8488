"""Strangers' servers on loopback: they send exactly the bytes a test gives them, and count what is taken."""

import asyncio
import fcntl
import socket
import ssl
import struct
import termios
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
Answer = Callable[[str, asyncio.StreamWriter], Awaitable[None]]


class Source:
    """A server whose answer to each request (its path) is written by the test; counts requests and those at once."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.port = 0
        self.requests: list[str] = []
        self.heads: list[str] = []
        self.at_once = self.most_at_once = 0

    def url(self, path: str = "/file", host: str = "source.example", scheme: str = "http") -> str:
        """A URL of this server under a name that the fake resolver knows."""
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and hang up."""
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            self.requests.append(head.split(" ")[1])
            await self._answer(self.requests[-1], writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.at_once -= 1
            writer.close()


@asynccontextmanager
async def open_source(
    answer: Answer, tls: ssl.SSLContext | None = None, at: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Source]:
    """A running source, with TLS where a context is given; raises OSError when the port is taken."""
    source = Source(answer)
    server = await asyncio.start_server(source.serve, at, port, ssl=tls)
    source.port = server.sockets[0].getsockname()[1]
    yield source
    server.close()


def tls_pair(host: str, directory: Path, days: int = 1) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for this name and so many days, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(Encoding.PEM)
    both = directory / "server.pem"
    both.write_bytes(pem + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(both)
    return server, ssl.create_default_context(cadata=pem.decode())


def sends(*parts: bytes) -> Answer:
    """An answer of these raw bytes."""

    async def answer(_: str, writer: asyncio.StreamWriter) -> None:
        writer.writelines(parts)

    return answer


def moved(to: str, status: int = 302) -> bytes:
    """A redirect."""
    return f"HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def one_after_another(*answers: Answer) -> Answer:
    """The first request gets the first answer, and so on; the last one for ever."""
    left = list(answers)

    async def answer(path: str, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(path, writer)

    return answer


async def resets(_: str, writer: asyncio.StreamWriter) -> None:
    """A connection that breaks with a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def everything_here(host: str) -> Sequence[str]:
    """A fake resolver: every name is this machine."""
    return ["127.0.0.1"]


@contextmanager
def filtered_port() -> Iterator[int]:
    """A port of loopback that answers nothing at all, as behind a firewall: its queue of connections is full."""
    with ExitStack() as held:
        listening = held.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = held.enter_context(socket.socket())
            waiting.setblocking(False)
            with suppress(BlockingIOError):
                waiting.connect(listening.getsockname())
        yield listening.getsockname()[1]


class EndlessSource:
    """Sends a body without end as fast as it is taken, from a thread; `taken` counts what the other side received."""

    def __init__(self, head: bytes, block: bytes) -> None:
        self._head, self._block = head, block
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.taken = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._listening.accept()
        with connection:
            connection.recv(65536)
            sent = 0
            try:
                connection.sendall(self._head)
                while True:
                    left = memoryview(self._block)
                    while left:
                        count = connection.send(left)
                        sent, left = sent + count, left[count:]
                        (unsent,) = struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))
                        self.taken = sent - unsent
            except OSError:
                return

    async def gone(self) -> None:
        """Wait until the other side has hung up."""
        await asyncio.to_thread(self._thread.join, 30)
        self._listening.close()
