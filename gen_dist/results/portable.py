"""A run's model in formats that others read: safetensors, torch.export's `.pt2`, ONNX, and what each makes of latents.

Shapes: N images (N, C, H, W), float32 in [0, 1]; Z latent values (N, Z).
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from gen_dist.draws import Draws
from gen_dist.engine.state import flatten_modules
from gen_dist.errors import RunError, UserError
from gen_dist.results.latents import draw_latents
from gen_dist.results.trained import Trained
from gen_dist.showing import SHOWN_PHASE

WEIGHTS, PROGRAM, ONNX = "model.safetensors", ".pt2", ".onnx"
CHECKED = 5  # images, another number than the one that is traced
TRACED = 2
MOST_DIFFERENCE = 1e-4  # of pixels in [0, 1], and of latent values
MISSING = "needs onnx, onnxscript and onnxruntime: pip install 'gen-dist-train[export]', or leave it out: --no-onnx"


class Generator(nn.Module):
    """Latents to images."""

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.modules_of = nn.ModuleDict(dict(trained.modules))
        self.objective = trained.objective

    def forward(self, z: Tensor) -> Tensor:
        low, high = self.objective.pixel_range
        return ((self.objective.decode(self.modules_of, z) - low) / (high - low)).clamp(0, 1)  # type: ignore[arg-type]


class Encoder(nn.Module):
    """Images to the means of their latents."""

    def __init__(self, trained: Trained) -> None:
        super().__init__()
        self.modules_of = nn.ModuleDict(dict(trained.modules))
        self.objective = trained.objective
        self.draws = Draws(0).at(0, SHOWN_PHASE, np.arange(1))  # for layers that use none in eval mode

    def forward(self, images: Tensor) -> Tensor:
        low, high = self.objective.pixel_range
        means = self.objective.posterior_means(self.modules_of, images * (high - low) + low, self.draws)  # type: ignore[arg-type]
        assert means is not None  # it has an encoder
        return means


def weights(trained: Trained) -> bytes:
    """All modules' tensors as safetensors."""
    tensors = {name: tensor.contiguous() for name, tensor in flatten_modules(trained.modules).items()}
    return save(tensors, metadata={"format": "pt"})


def write_programs(trained: Trained, folder: Path, onnx: bool) -> dict[str, float]:
    """Write generator and, where there is one, encoder as programs; returns by file how far its results are, at most,
    from the model's own.

    Raises:
        UserError: ONNX is asked for, and not installed.
        RunError: a program computes something else than the model.
    """
    z = torch.from_numpy(draw_latents(trained.latent, 0, np.arange(CHECKED)))
    generator = Generator(trained).eval()
    with torch.no_grad():
        images = generator(z)
    apart = write_program(generator, "z", "images", z, folder / "generator", onnx)
    if trained.encodes:
        apart |= write_program(Encoder(trained).eval(), "images", "z", images, folder / "encoder", onnx)
    return apart


def write_program(
    module: nn.Module, source: str, result: str, values: Tensor, place: Path, onnx: bool
) -> dict[str, float]:
    """`source`, `result`: what the program calls its values. `place`: of the files, without their endings."""
    with torch.no_grad(), quietly():
        wanted = module(values)
        count = torch.export.Dim("count", min=1)
        program = torch.export.export(module, (values[:TRACED],), dynamic_shapes=({0: count},))
        torch.export.save(program, place.with_suffix(PROGRAM))
        apart = {place.name + PROGRAM: difference(program.module()(values), wanted)}
        if onnx:
            path = place.with_suffix(ONNX)
            torch.onnx.export(
                program, (values[:TRACED],), str(path), input_names=[source], output_names=[result], dynamo=True,
                external_data=False, verbose=False,
            )  # fmt: skip
            apart[place.name + ONNX] = difference(run_onnx(path, source, values), wanted)
    for name, found in apart.items():
        if not found <= MOST_DIFFERENCE:
            raise RunError(f"{name}: its results are {found:.2g} from the model's, more than {MOST_DIFFERENCE:g}")
    return apart


def run_onnx(path: Path, source: str, values: Tensor) -> Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {source: values.numpy()})[0])


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest; of values beyond 1, relative to them."""
    if found.shape != wanted.shape:
        return float("inf")
    return float(((found - wanted).abs() / wanted.abs().clamp(min=1)).max())


def require_onnx() -> None:
    """Raises UserError where it is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        raise UserError(f"ONNX: {MISSING}") from None


@contextmanager
def quietly() -> Iterator[None]:
    """torch's exporters warn of their own insides."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
