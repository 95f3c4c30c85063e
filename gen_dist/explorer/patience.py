"""How long a connection may say nothing: there is room for a limited number, which idle ones must not take up."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that closes connections on which no whole request has come for as long as one may be kept alive, or up
    to twice that. uvicorn itself begins to count when it has answered one, and anew with every byte."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(self.timeout_keep_alive, self._look, self.cycle)

    def _look(self, before: object) -> None:
        """`before`: the last request when it was looked last."""
        if self.transport.is_closing():
            return
        if self.cycle is before and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self.loop.call_later(self.timeout_keep_alive, self._look, self.cycle)
