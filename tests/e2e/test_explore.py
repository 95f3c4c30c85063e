"""The explorer as a server: what it answers, what it refuses, and that it stays up."""

import io
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.launch.exploring import MOST_AT_ONCE
from gen_dist.results.trained import Trained
from tests.command import gen_dist, train, wait_for
from tests.explorer_server import Server, explorer
from tests.foreign_run import under_way_elsewhere
from tests.nasty import CASES

SMALL = ("--no-ray", "train.steps=2", "train.sample_every=1", "data.path=bundled:emoji", "data.size=32",
         "train.batch_size=8", "train.microbatch_size=4", "train.precision=fp32")  # fmt: skip
WIDTHS = ("model.latent=6", "model.encoder_width=4", "model.generator_width=4", "model.discriminator_width=4")
RUNS = ("vae", "gan", "vaegan")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("explore")
    train(cwd, "vae", "vae-64", *SMALL, "model.latent=6", "model.width=4")
    train(cwd, "gan", "smoke", *SMALL)
    train(cwd, "vaegan", "vaegan-64", *SMALL, *WIDTHS)
    (cwd / "empty").mkdir()
    return cwd


@pytest.fixture(scope="module")
def server(place) -> Server:
    with explorer(place, *RUNS) as running:
        yield running


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("run", range(len(RUNS)))
def test_a_drawn_latent_gives_the_image_that_generate_makes(run, server, place):
    z = server.post("/api/draw", {"run": run, "seed": 5, "number": 2}).json["z"]
    made = server.post("/api/decode", {"run": run, "z": z})
    assert (made.status, made.headers["content-type"]) == (200, "image/png")
    done = gen_dist("generate", RUNS[run], "--count", 3, "--seed", 5, "--out", f"drawn-{RUNS[run]}", cwd=place)
    assert done.code == 0, done.err
    with Image.open(place / f"drawn-{RUNS[run]}" / "000002.png") as picture:
        apart = np.abs(pixels(made.body).astype(int) - np.asarray(picture).astype(int))
    assert apart.max() <= 1  # latents are told with six digits


def test_what_it_says_of_the_runs(server, place):
    about = server.ask("GET", "/api/runs").json
    assert [run["name"] for run in about] == list(RUNS)
    assert [run["encodes"] for run in about] == [True, False, True]
    for run in about:
        assert run["latent"] == Trained.open(place / run["name"]).latent.size
        assert bool(run["map"]["points"]) == run["encodes"]
        assert sum(len(group["points"]) for group in run["map"]["classes"]) == len(run["map"]["points"])


def test_a_run_under_way_or_from_another_machine(place):
    """Its map has no images; all else is there."""
    with under_way_elsewhere(place / "vae", place / "moved"), explorer(place, "moved") as server:
        [about] = server.ask("GET", "/api/runs").json
        assert (about["encodes"], about["map"]["points"]) == (True, [])
        z = server.post("/api/place", {"run": 0, "x": 1, "y": 0}).json["z"]
        assert pixels(server.post("/api/decode", {"run": 0, "z": z}).body).shape == (32, 32, 3)


def test_an_image_is_encoded_as_reconstruct_does(server, place):
    content = io.BytesIO()
    Image.effect_noise((48, 40), 90).convert("RGB").save(content, "PNG")
    (place / "mine.png").write_bytes(content.getvalue())
    z = server.ask("POST", "/api/encode?run=0", content.getvalue()).json["z"]
    from gen_dist.preparing.few import read_few

    trained = Trained.open(place / "vae")
    few = read_few([str(place / "mine.png")], trained.config.data, 3, 1)
    assert np.allclose(z, trained.encode(few.images)[0], atol=1e-5)
    refused = server.ask("POST", "/api/encode?run=1", content.getvalue())
    assert (refused.status, refused.json["error"]) == (400, "gan: a gan, which cannot encode images")


def test_places_on_the_map_and_ways_between(server):
    middle, beside = (server.post("/api/place", {"run": 0, "x": x, "y": 0}).json["z"] for x in (0, 1))
    assert middle != beside
    ways = [
        server.post("/api/between", {"run": 0, "a": middle, "b": beside, "share": s}).json["z"] for s in (0, 0.5, 1)
    ]
    assert np.allclose(ways, [middle, np.add(middle, beside) / 2, beside], atol=1e-5)


def test_the_page_is_whole_and_asks_nobody_else(server):
    for path, kind in (("/", "text/html"), ("/explore.js", "text/javascript"), ("/explore.css", "text/css")):
        answer = server.ask("GET", path)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith(kind)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert b"http" not in answer.body.replace(b"http-equiv", b"")


DRAW = {"run": 0, "seed": 1, "number": 0}
Z = [0.0] * 6


@pytest.mark.parametrize(
    ("path", "fields", "status", "reason"),
    [
        ("/api/draw", [], 400, "give a JSON object"),
        ("/api/draw", DRAW | {"run": 3}, 400, "run: give a whole number between 0 and 2"),
        ("/api/draw", DRAW | {"run": "../vae"}, 400, "run: give a whole number"),
        ("/api/draw", DRAW | {"run": True}, 400, "run: give a whole number"),
        ("/api/draw", DRAW | {"seed": -1}, 400, "seed: give a whole number"),
        ("/api/draw", DRAW | {"seed": 1.5}, 400, "seed: give a whole number"),
        ("/api/draw", {"run": 0}, 400, "seed: give a whole number"),
        ("/api/decode", {"run": 0, "z": Z[1:]}, 400, "z: give 6 numbers"),
        ("/api/decode", {"run": 0, "z": [*Z[1:], "0"]}, 400, "z: give 6 numbers"),
        ("/api/decode", {"run": 0, "z": [*Z[1:], float("nan")]}, 400, "z: give numbers between"),
        ("/api/decode", {"run": 0, "z": [*Z[1:], 1e300]}, 400, "z: give numbers between"),
        ("/api/decode", {"run": 0, "z": [*Z[1:], 10**400]}, 400, "z: give numbers between"),
        ("/api/decode", {"run": 0, "z": {}}, 400, "z: give 6 numbers"),
        ("/api/place", {"run": 0, "x": float("inf"), "y": 0}, 400, "x: give a number between"),
        ("/api/between", {"run": 0, "a": Z, "b": Z, "share": 2}, 400, "share: give a number between 0 and 1"),
        ("/api/decode", {"run": 0, "z": Z, "much": "x" * 300_000}, 413, "more than 262,144 bytes"),
        ("/api/nothing", {}, 404, ""),
        ("/../../etc/passwd", {}, 404, ""),
        ("/%2e%2e/config.yaml", {}, 404, ""),
        ("/vae/config.yaml", {}, 404, ""),
    ],
)
def test_bad_questions_get_a_reason(path, fields, status, reason, server):
    answer = server.post(path, fields)
    assert answer.status == status
    if reason:
        assert answer.json["error"].startswith(reason)


def test_who_may_not_ask(server):
    here = f"127.0.0.1:{server.port}"
    assert server.ask("GET", "/api/runs", Host="evil.example").status == 403
    assert server.ask("GET", "/", Host=f"evil.example:{server.port}").status == 403
    assert server.post("/api/draw", DRAW, Host=here, Origin="http://evil.example").status == 403
    assert server.post("/api/draw", DRAW, Host=here, Origin=f"http://{here}").status == 200
    assert server.post("/api/draw", DRAW, Content_Type="text/plain").status == 415
    assert server.ask("GET", "/api/draw").status == 405
    with pytest.raises(ConnectionRefusedError):  # it listens on one address
        socket.create_connection(("127.0.0.2", server.port), timeout=5)


def test_hostile_images_are_refused_or_shown(server):
    for name, make in CASES.items():
        answer = server.ask("POST", "/api/encode?run=0", make().data)
        assert answer.status in (200, 400), (name, answer)
        if answer.status == 400:
            assert answer.json["error"], name
    assert server.ask("POST", "/api/encode?run=0", bytes(21 << 20)).status == 413
    assert server.ask("POST", "/api/encode?run=0", b"").status == 400
    assert server.ask("POST", "/api/encode?run=9", b"").status == 400


def test_a_thousand_bad_requests_leave_it_up(server):
    generator = np.random.default_rng(0)
    for number in range(1000):
        kind = number % 4
        noise = generator.bytes(int(generator.integers(1, 400)))
        if kind == 0:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
                raw.sendall(noise + b"\r\n\r\n")
        elif kind == 1:
            answer = server.ask("POST", "/api/decode", noise, Content_Type="application/json")
            assert answer.status == 400
        elif kind == 2:
            assert server.ask("POST", "/api/encode?run=0", noise).status == 400
        else:
            with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
                raw.sendall(b"POST /api/decode HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\n" + noise)
    assert server.post("/api/draw", DRAW).status == 200


def test_who_says_nothing_takes_up_no_room(server):
    """More idle connections than may be open, with and without the beginning of a request: others are let in again."""
    with ExitStack() as stack:
        here = ("127.0.0.1", server.port)
        silent = [stack.enter_context(socket.create_connection(here, 30)) for _ in range(2 * MOST_AT_ONCE)]
        for connection in silent[::2]:
            connection.sendall(b"GET / HT")
        assert server.ask("GET", "/").status == 503
        wait_for(lambda: server.ask("GET", "/").status == 200)
        assert [connection.recv(1000) for connection in silent] == [b""] * len(silent)


def test_who_does_not_read_is_let_go(server):
    """A client that asks for more than its buffers take, and leaves it there."""
    asked = f"GET /explore.js HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode() * 1000
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", server.port))
        deaf.setblocking(False)
        with suppress(BlockingIOError):
            deaf.send(asked)
        assert not is_over(deaf)
        wait_for(lambda: is_over(deaf))
    assert server.ask("GET", "/").status == 200


def is_over(connection: socket.socket) -> bool:
    try:
        connection.send(b"\r\n")
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nothing"], ["run folder 'nothing': no such folder"]),
        (["empty"], ["holds no run"]),
        (["gan", "--host", "0.0.0.0"], ["--host 0.0.0.0: others could look", "add --anyone"]),
        (["gan", "--port", "65536"], ["--port 65536: must be between"]),
        (["gan", "--host", "192.0.2.1", "--anyone"], ["cannot listen there"]),
        (["gan"] * 7, ["7 runs; the page compares at most 6"]),
    ],
)
def test_bad_input_is_one_line(arguments, parts, place):
    done = gen_dist("explore", *arguments, "--no-browser", cwd=place)
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1
    for part in parts:
        assert part in done.err
