"""A pack's images into training batches: our kernel, NumPy, and a DataLoader, on the same images in the same order.

And JPEGs of CelebA's size, kept as they are, brought to 64 x 64 on the way: our kernels, and a DataLoader with Pillow.
Outputs are compared first. Each repeat times all of them in turn; medians and spread of images a second.
"""

import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.processes import cpu_model
from gen_dist.config import AugmentSettings
from gen_dist.data.loader import Loader
from gen_dist.data.pack import Pack
from gen_dist.data.pack_files import About
from gen_dist.data.pack_writer import PackWriter
from gen_dist.data.stream import Batching, Stream

IMAGES, BATCH, STEPS, REPEATS, SIZES = 4096, 128, 32, 5, (32, 64)
JPEGS, JPEG_STEPS, WIDTH, HEIGHT = 512, 4, 178, 218


def main() -> None:
    torch.set_num_threads(1)
    print(f"{cpu_model()}; torch {torch.__version__}, numpy {np.__version__}; one thread")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            report(f"{size}x{size}", measure(make_pack(Path(folder) / str(size), size)))
        pack = make_encoded_pack(Path(folder) / "jpegs")
        stored = sum(part.bytes for part in pack.meta.parts) / len(pack) / 1000
        report(f"JPEGs of {WIDTH}x{HEIGHT}, {stored:.1f} kB each, to 64x64", measure_encoded(pack))


def make_pack(path: Path, size: int) -> Pack:
    generator = np.random.default_rng(0)
    with PackWriter(path, (size, size, 3)) as writer:
        for _ in range(IMAGES):
            writer.append(generator.integers(0, 256, (size, size, 3), dtype=np.uint8))
        writer.finish(About("random", {"images": IMAGES}, None, []))
    return Pack.open(path)


def make_encoded_pack(path: Path) -> Pack:
    """JPEGs of noise, smoothed until they are as long as those of faces."""
    generator = np.random.default_rng(0)
    with PackWriter(path, (64, 64, 3), kept="jpeg") as writer:
        for _ in range(JPEGS):
            coarse = Image.fromarray(generator.integers(0, 256, (HEIGHT // 7, WIDTH // 7, 3), dtype=np.uint8))
            file = io.BytesIO()
            coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC).save(file, "JPEG", quality=85)
            writer.append(file.getvalue(), size=(WIDTH, HEIGHT))
        settings = {"data.prepare.crop": "center", "data.prepare.filter": "bilinear"}
        writer.finish(About("random", {"images": JPEGS}, settings=settings))
    return Pack.open(path)


def measure_encoded(pack: Pack) -> dict[str, list[float]]:
    order = Stream(0, len(pack)).indices(np.arange(BATCH * JPEG_STEPS, dtype=np.int64)).reshape(JPEG_STEPS, BATCH)
    ways: dict[str, Callable[[], list[torch.Tensor]]] = {
        "gen-dist": lambda: ours(pack, JPEG_STEPS),
        "gen-dist, random parts": lambda: ours(pack, JPEG_STEPS, AugmentSettings(crop_scale=0.5)),
        "Pillow, 0 workers": lambda: with_pillow(pack, order),
    }
    for ours_, theirs in zip(ways["gen-dist"](), ways["Pillow, 0 workers"](), strict=True):
        # Ours resizes the planes before it mixes colours, and may let the inverse transform make them smaller.
        assert float((ours_ - theirs).abs().mean()) < 0.02
    return timed(ways, BATCH * JPEG_STEPS)


def measure(pack: Pack) -> dict[str, list[float]]:
    """Images a second of each way, one figure a repeat."""
    order = Stream(0, len(pack)).indices(np.arange(BATCH * STEPS, dtype=np.int64)).reshape(STEPS, BATCH)
    ways: dict[str, Callable[[], list[torch.Tensor]]] = {
        "gen-dist": lambda: ours(pack),
        "NumPy": lambda: with_numpy(pack, order),
        "DataLoader, 0 workers": lambda: with_dataloader(pack, order),
    }
    expected = ways["NumPy"]()
    for name, way in ways.items():
        for ours_, theirs in zip(way(), expected, strict=True):
            torch.testing.assert_close(ours_.contiguous(), theirs.contiguous(), rtol=0, atol=1e-6, msg=name)
    return timed(ways, BATCH * STEPS)


def timed(ways: dict[str, Callable[[], list[torch.Tensor]]], images: int) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            rates[name].append(images / (time.perf_counter() - started))
    return rates


def ours(pack: Pack, steps: int = STEPS, augment: AugmentSettings | None = None) -> list[torch.Tensor]:
    """All in the loader's one thread; the consumer copies each batch, as the others allocate theirs."""
    batching = Batching(BATCH, BATCH, 1)
    augment = augment or AugmentSettings()
    loader = Loader(pack, 0, batching, augment=augment, pixel_range=(-1.0, 1.0), threads=1, prefetch=2)
    batches = []
    for step in range(steps):
        [microbatch] = loader.get(step, 0, [0])
        batches.append(microbatch.images.clone())
        loader.release(step)
    loader.close()
    return batches


def with_numpy(pack: Pack, order: np.ndarray) -> list[torch.Tensor]:
    [part] = pack.parts
    return [torch.from_numpy(part[chosen].astype(np.float32) / 255 * 2 - 1).permute(0, 3, 1, 2) for chosen in order]


def with_dataloader(pack: Pack, order: np.ndarray) -> list[torch.Tensor]:
    [part] = pack.parts
    data = TensorDataset(torch.from_numpy(np.array(part)).permute(0, 3, 1, 2))
    batches = DataLoader(data, batch_sampler=[chosen.tolist() for chosen in order])  # type: ignore[arg-type]
    return [images.float() / 255 * 2 - 1 for (images,) in batches]


def with_pillow(pack: Pack, order: np.ndarray) -> list[torch.Tensor]:
    class Faces(Dataset[torch.Tensor]):
        def __getitem__(self, index: int) -> torch.Tensor:
            top = (HEIGHT - WIDTH) // 2
            with Image.open(io.BytesIO(pack.file(index))) as image:
                small = image.resize((64, 64), Image.Resampling.BILINEAR, (0, top, WIDTH, top + WIDTH))
            return torch.from_numpy(np.array(small)).permute(2, 0, 1)

    batches = DataLoader(Faces(), batch_sampler=[chosen.tolist() for chosen in order])  # type: ignore[arg-type]
    return [images.float() / 255 * 2 - 1 for images in batches]


def report(what: str, rates: dict[str, list[float]]) -> None:
    ours_ = statistics.median(rates["gen-dist"])
    print(f"\n{what}, batch {BATCH}: images/s, median (min..max) of {REPEATS}; gen-dist is x times as fast")
    for name, values in rates.items():
        median = statistics.median(values)
        print(f"  {name:24}{median:10.0f} ({min(values):.0f}..{max(values):.0f}){ours_ / median:8.2f}")


if __name__ == "__main__":
    main()
