"""What the page asks, answered: an ASGI application."""

from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from importlib.resources import files
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gen_dist.explorer.guard import MOST_IMAGE, Guard, Refused, body_of, fields_of, number, whole
from gen_dist.explorer.models import BadRequestError, Model

PAGES = {
    "/": ("explore.html", "text/html; charset=utf-8"),
    "/explore.js": ("explore.js", "text/javascript; charset=utf-8"),
    "/explore.css": ("explore.css", "text/css; charset=utf-8"),
}
MOST_SEED, MOST_NUMBER = 2**53 - 1, 10_000  # whole numbers in JavaScript
AWAY = 100.0  # standard deviations from a map's middle, at most

Answer = Callable[[Request], Awaitable[Response]]


def make_app(models: Sequence[Model], anyone: bool = False) -> Starlette:
    """`anyone`: may ask, not this machine only."""

    def chosen(fields: dict[str, Any]) -> Model:
        return models[whole(fields, "run", len(models) - 1)]

    async def about(request: Request) -> Response:
        return JSONResponse([model.about() for model in models])

    async def decode(request: Request) -> Response:
        fields = await fields_of(request)
        model = chosen(fields)
        z_Z = model.latent(fields.get("z"))
        return Response(await run_in_threadpool(model.picture, z_Z), media_type="image/png")

    async def draw(request: Request) -> Response:
        fields = await fields_of(request)
        return latent(chosen(fields).draw(whole(fields, "seed", MOST_SEED), whole(fields, "number", MOST_NUMBER)))

    async def place(request: Request) -> Response:
        fields = await fields_of(request)
        model = chosen(fields)
        return latent(model.map.plane.at(number(fields, "x", -AWAY, AWAY), number(fields, "y", -AWAY, AWAY)))

    async def between(request: Request) -> Response:
        fields = await fields_of(request)
        model = chosen(fields)
        a_Z, b_Z = (model.latent(fields.get(name)) for name in ("a", "b"))
        return latent(model.between(a_Z, b_Z, number(fields, "share", 0, 1)))

    async def encode(request: Request) -> Response:
        text = request.query_params.get("run", "")
        model = chosen({"run": int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else text})
        content = await body_of(request, MOST_IMAGE)
        return latent(await run_in_threadpool(model.encode, content))

    asked = {"decode": decode, "draw": draw, "place": place, "between": between, "encode": encode}
    routes = [Route(path, file_page(name, kind)) for path, (name, kind) in PAGES.items()]
    routes.append(Route("/api/runs", about))
    routes += [Route(f"/api/{name}", told(answer), methods=["POST"]) for name, answer in asked.items()]
    return Starlette(routes=routes, middleware=[Middleware(Guard, anyone=anyone)])


def latent(z_Z: np.ndarray) -> Response:
    return JSONResponse({"z": [round(float(value), 6) for value in z_Z]})


def file_page(name: str, kind: str) -> Answer:
    content = files("gen_dist.explorer.page").joinpath(name).read_bytes()

    async def page(request: Request) -> Response:
        return Response(content, headers={"Content-Type": kind})

    return page


def told(answer: Answer) -> Answer:
    """What is refused is answered with its reason."""

    @wraps(answer)
    async def with_reason(request: Request) -> Response:
        try:
            return await answer(request)
        except Refused as refused:
            return JSONResponse({"error": str(refused)}, refused.status)
        except BadRequestError as error:
            return JSONResponse({"error": str(error)}, 400)

    return with_reason
