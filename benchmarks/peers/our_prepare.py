"""`gen-dist prepare` on a folder of JPEG files, by either decoder; each run makes a new pack."""

import shutil
from collections.abc import Iterator

import numpy as np

from benchmarks.peers.inputs import SIDE, Inputs, Run


def kernels(inputs: Inputs) -> Run:
    return _prepare(inputs, "kernels")


def libraries(inputs: Inputs) -> Run:
    return _prepare(inputs, "libraries")


def auto(inputs: Inputs) -> Run:
    return _prepare(inputs, "auto")


def _prepare(inputs: Inputs, decoder: str) -> Run:
    from gen_dist.config import DecodingSettings
    from gen_dist.data.pack import Pack
    from gen_dist.preparing.prepare import prepare
    from gen_dist.sources.folder import Folder

    out = inputs.folder / f"pack-{decoder}"

    def run() -> Iterator[np.ndarray]:
        shutil.rmtree(out, ignore_errors=True)
        settings = DecodingSettings(decoder=decoder)  # type: ignore[arg-type]
        source = Folder(inputs.folder / "files", settings.file_bytes)
        prepare(source, out, SIDE, decoding=settings, workers=inputs.threads)
        yield from Pack.open(out).parts

    return run
