"""How long a connection may say nothing: there is room for a limited number, which idle ones must not take up."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

BUSY, STUCK = object(), object()


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that closes connections on which no whole request has come for as long as one may be kept alive, or up
    to twice that, and those of clients that do not read what they asked for. uvicorn itself begins to count when it has
    answered a request, and anew with every byte."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(self.timeout_keep_alive, self._look, self.cycle)

    def _look(self, before: object) -> None:
        """`before`: the last request, if it was answered when it was looked last."""
        if self not in self.connections:  # it has ended
            return
        idle = self.cycle is None or self.cycle.response_complete
        stuck = self.flow.write_paused or self.transport.is_closing()  # the client does not read
        if stuck and before is STUCK:
            self.transport.abort()
            return
        if idle and self.cycle is before:
            self.transport.close()
        seen = STUCK if stuck or self.transport.is_closing() else self.cycle if idle else BUSY
        self.loop.call_later(self.timeout_keep_alive, self._look, seen)
