"""How long the explorer takes for a picture: requests as its page sends them, one after the other.

    python -m benchmarks.explorer [--requests 200]

The models have had three steps: time does not depend on what they have learnt. Peaks are told beside medians, since a
slider that is moved asks again and again.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

import numpy as np

from benchmarks.evaluate import shapes
from benchmarks.launch import describe_machine
from benchmarks.training_run import GEN_DIST, run_command
from tests.explorer_server import explorer

PRESETS = ("vae-64", "vaegan-64", "dcgan-64", "sngan-64")
WARM_UP, GOAL_SECONDS = 5, 0.1


def ask(connection: HTTPConnection, path: str, fields: object) -> bytes:
    connection.request("POST", path, json.dumps(fields), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status} {body.decode()}")
    return body


def seconds_of_each(port: int, run: int, requests: int) -> list[float]:
    connection, found = HTTPConnection("127.0.0.1", port, timeout=30), []
    for number in range(WARM_UP + requests):
        z = json.loads(ask(connection, "/api/draw", {"run": run, "seed": 0, "number": number}))["z"]
        start = time.perf_counter()
        ask(connection, "/api/decode", {"run": run, "z": z})
        found.append(time.perf_counter() - start)
    return found[WARM_UP:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200)
    arguments = parser.parse_args()
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        images = f"{folder}/images.npy"
        np.save(images, shapes(500, 1)[0])
        for preset in PRESETS:
            settings = [f"data.path={images}", "train.steps=3", "wandb.mode=disabled"]
            run = ["train", preset, "--no-ray", "--run-dir", f"{folder}/{preset}", *settings]
            run_command([sys.executable, *GEN_DIST, *run])
        with explorer(Path(folder), *PRESETS) as server:
            print("\n| model | ms a picture, median | 99 of 100 within | wanted |\n|---|---:|---:|---:|")
            for number, preset in enumerate(PRESETS):
                found = sorted(seconds_of_each(server.port, number, arguments.requests))
                worst = found[int(0.99 * len(found))]
                print(f"| `{preset}` | {1000 * statistics.median(found):.1f} | {1000 * worst:.1f} "
                      f"| {1000 * GOAL_SECONDS:.0f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
