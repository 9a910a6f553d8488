"""Bounds what a stranger sends beside content: endless interim answers, header lines, chunk lines and idle noise."""

from functools import partial
from typing import Any, Final

from aiohttp import ClientPayloadError, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import StreamReader

from shared import limits

ANSWERS_WAITING: Final = 16  # interim ones, or unasked: each costs a hundred times its bytes while nobody reads


class MeteredProtocol(ResponseHandler):
    """Hangs up on whoever sends more framing than content: parsing it costs our time, and nothing else ends it."""

    _taken = 0
    _former: StreamReader | None = None

    def set_response_params(self, **given: Any) -> None:
        """An exchange begins: what was sent before it counts no more."""
        self._taken, self._former = 0, self._payload
        super().set_response_params(**given)

    def data_received(self, data: bytes) -> None:
        """Parse, then weigh; also while nobody reads, as on a connection that is kept for later."""
        self._taken += len(data)
        super().data_received(data)
        content = self._payload.total_bytes if self._payload and self._payload is not self._former else 0
        if self._taken > limits.FRAMING_BYTES + 2 * content or len(self._buffer) > ANSWERS_WAITING:
            self._hang_up()

    def _hang_up(self) -> None:
        # A body that ends where its connection ends must not look whole now.
        error = ClientPayloadError("more framing than content")
        if self._payload:
            self._payload.set_exception(error)
        self._buffer.clear()
        self.set_exception(error)
        if self.transport:
            self.transport.abort()


class MeteredConnector(TCPConnector):
    """aiohttp has no public place for a protocol of one's own; tests notice if this one is used no more."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        metered: Any = partial(MeteredProtocol, loop=self._loop)
        self._factory = metered
