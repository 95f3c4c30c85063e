"""The README of an exported model: what it is, what it was trained with, how to use it. Pure text."""

from collections.abc import Mapping, Sequence

from gen_dist.report import tables
from gen_dist.report.facts import RunFacts
from gen_dist.report.markdown import plain, table
from gen_dist.results.trained import Trained

SAMPLES = "samples.png"
KINDS = {"vae": "VAE", "gan": "GAN", "vaegan": "VAE-GAN"}


def model_card(run: RunFacts, trained: Trained, files: Sequence[str], apart: Mapping[str, float]) -> str:
    """`apart`: by file, how far its results are from the model's own."""
    kind = trained.config.objective.kind
    parts = [
        f"---\nlibrary_name: gen-dist\ntags:\n- {kind}\n- image-generation\n---",
        f"# {plain(run.name)}",
        f"A {KINDS[kind]} of {trained.size} × {trained.size} pixels and {trained.channels} channels, trained with "
        f"gen-dist: {trained.step:,} steps of {trained.config.train.batch_size} images.",
        f"![samples]({SAMPLES})",
        "## New images",
        "```python\n" + script(trained) + "```" if "generator.onnx" in files else "",
        latents(trained),
        "## Files",
        table([["file", "what it is"], *([name, about(name, apart)] for name in files)]),
        *(["## Scores", table(tables.scores([run]))] if scored(run, trained) else []),
        "## Training",
        *([table(tables.changes(run))] if run.changes else []),
        f"    {run.repeat}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def scored(run: RunFacts, trained: Trained) -> bool:
    """Whether its scores are of these weights."""
    weights = "raw" if trained.raw else "averaged"
    return bool(run.scores) and (run.scores.step, run.scores.weights) == (trained.step, weights)  # type: ignore[union-attr]


def script(trained: Trained) -> str:
    """Ten lines that make images with the ONNX file."""
    shape = f"(16, {trained.latent.size})"
    normal, uniform = f"standard_normal({shape}, dtype=np.float32)", f"uniform(-1, 1, {shape}).astype(np.float32)"
    return f"""import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession("generator.onnx")
z = np.random.default_rng(0).{uniform if trained.latent.prior == "uniform" else normal}
images = session.run(None, {{"z": z}})[0]  # (16, {trained.channels}, {trained.size}, {trained.size}), 0 to 1
for number, image in enumerate(images):
    pixels = (image.transpose(1, 2, 0) * 255).round().astype(np.uint8)
    Image.fromarray(pixels.squeeze()).save(f"{{number}}.png")
"""


def latents(trained: Trained) -> str:
    what = "uniform in -1 … 1" if trained.latent.prior == "uniform" else "normal, of mean 0 and deviation 1"
    return f"Latents have {trained.latent.size} values, {what}."


ABOUT = {
    "config.json": "settings, and what the model takes and gives",
    "model.safetensors": "the weights",
    SAMPLES: "what it makes",
    "generator.pt2": "latents to images: torch.export",
    "generator.onnx": "latents to images: ONNX",
    "encoder.pt2": "images to latents: torch.export",
    "encoder.onnx": "images to latents: ONNX",
}


def about(name: str, apart: Mapping[str, float]) -> str:
    return ABOUT[name] + (f"; at most {apart[name]:.1e} from the model's own results" if name in apart else "")
