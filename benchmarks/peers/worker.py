"""A way of doing a row's work, in a process of the environment that it needs.

    python -m benchmarks.peers.worker MODULE.FUNCTION FOLDER THREADS

`FUNCTION(inputs)` of `benchmarks.peers.MODULE` returns what does the work once. Questions come as lines of JSON on
standard input, answers go to standard output; whatever else is printed goes to standard error.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
SHOWN = ("albumentations", "ffcv", "keras-preprocessing", "numba", "numpy", "opencv-python-headless", "pillow",
         "pillow-simd", "scipy", "simplejpeg", "torch")  # fmt: skip


def save(run: Callable[[], Any], path: str) -> int:
    """Do the work once and write all that came out to `path`; how many images (or other items) that was."""
    import numpy as np

    outputs = np.concatenate([np.array(batch) for batch in run()])
    np.save(path, outputs)
    return len(outputs)


def measure(run: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Items a second, over as many whole runs as take at least `seconds`; and CPU time over wall time."""
    gc.collect()
    done, started, cpu = 0, time.perf_counter(), time.process_time()
    while True:
        for batch in run():
            done += len(batch)
        if (passed := time.perf_counter() - started) >= seconds:
            return {"rate": done / passed, "busy": (time.process_time() - cpu) / passed}


def versions() -> dict[str, str]:
    found = {}
    for name in SHOWN:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def main() -> None:
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # before anything reads them
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # FFCV and Keras print
    name, folder, threads = sys.argv[1:]
    from benchmarks.peers.inputs import Inputs

    module, _, function = name.rpartition(".")
    way = getattr(import_module(f"benchmarks.peers.{module}"), function)
    inputs = Inputs(Path(folder), int(threads))
    run: Callable[[], Any] | None = None
    for line in sys.stdin:
        question = json.loads(line)
        answer: Any
        if question["do"] == "versions":
            answer = versions()
        elif question["do"] == "fresh":  # preparing counts: an epoch from the loader's making to its end
            started = time.perf_counter()
            done = sum(len(batch) for batch in way(inputs)())
            answer = done / (time.perf_counter() - started)
        else:
            run = run or way(inputs)
            answer = save(run, question["path"]) if question["do"] == "output" else measure(run, question["seconds"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
