"""Who may ask, and how much: everything that a request is refused for before anyone looks into it."""

import asyncio
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gen_dist.explorer.models import BadRequestError

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
BODY_SECONDS = 20
MOST_JSON, MOST_IMAGE = 256 << 10, 20 << 20  # bytes of a body
POLICY = ("default-src 'self'", "img-src 'self' blob: data:", "frame-ancestors 'none'", "base-uri 'none'")
HEADERS = {
    "Content-Security-Policy": "; ".join(POLICY),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """Lets through what this machine's own page asks: other pages that a browser has open must not, nor other hosts,
    whatever their names resolve to. `anyone`: other hosts may, where the user said so."""

    def __init__(self, app: ASGIApp, anyone: bool = False) -> None:
        self.app, self.anyone = app, anyone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        reason = self.refusal(headers)
        if reason is not None:
            return await JSONResponse({"error": reason}, 403)(scope, receive, send)

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *extra]
            await send(message)

        await self.app(scope, receive, with_headers)
        return None

    def refusal(self, headers: dict[str, str]) -> str | None:
        host = headers.get("host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if not self.anyone and name not in LOOPBACK:
            return f"host '{host[:80]}': this page is for this machine; use 127.0.0.1"
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "another page asked"
        return None


async def body_of(request: Request, most: int) -> bytes:
    """Raises Refused for a longer one, without reading it all."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) > most:
        raise Refused(413, f"more than {most:,} bytes")
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise Refused(413, f"more than {most:,} bytes")
                parts.append(part)
    except TimeoutError:
        raise Refused(408, f"not all there after {BODY_SECONDS} s") from None
    return b"".join(parts)


async def fields_of(request: Request) -> dict[str, Any]:
    """The body, a JSON object. Raises Refused for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Refused(415, "give application/json")
    try:
        found = json.loads(await body_of(request, MOST_JSON))
    except (ValueError, RecursionError):
        raise Refused(400, "no JSON") from None
    if not isinstance(found, dict):
        raise Refused(400, "give a JSON object")
    return found


def number(fields: dict[str, Any], name: str, low: float, high: float) -> float:
    value = fields.get(name)
    if type(value) not in (int, float) or not low <= value <= high:  # type: ignore[operator]
        raise BadRequestError(f"{name}: give a number between {low:g} and {high:g}")
    return float(value)  # type: ignore[arg-type]


def whole(fields: dict[str, Any], name: str, high: int) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= high:
        raise BadRequestError(f"{name}: give a whole number between 0 and {high}")
    return value
