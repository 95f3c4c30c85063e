"""`gen-dist export`: a run's model as a folder that others can use, and hubs can show."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import gen_dist
from gen_dist.config import RunConfig
from gen_dist.errors import UserError
from gen_dist.record.pictures import image_grid, save_png
from gen_dist.report.facts import read_run, with_config
from gen_dist.results.files import check_parent
from gen_dist.results.latents import draw_latents
from gen_dist.results.model_card import ABOUT, SAMPLES, model_card
from gen_dist.results.portable import WEIGHTS, require_onnx, weights, write_programs
from gen_dist.results.trained import Trained

SHOWN, COLUMNS = 32, 8
CONFIG, CARD = "config.json", "README.md"


@dataclass(frozen=True)
class Exported:
    """`apart`: by file, how far its results are from the model's own, at most."""

    files: list[str]
    apart: dict[str, float]


def export(run: Path, out: Path, raw: bool, onnx: bool) -> Exported:
    """Write the run's model at its last checkpoint into the new folder `out`, which appears when all is there.

    Raises:
        UserError: no run, no checkpoint, a folder that is not empty, ONNX that is not installed.
        RunError: an exported program computes something else than the model.
    """
    check_new(out)
    out = out.absolute()
    if onnx:
        require_onnx()
    trained = Trained.open(run, raw)
    trained.config = without_places(trained.config)
    facts = with_config(read_run(run), trained.config)
    partial = out.with_name(f".{out.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        (partial / WEIGHTS).write_bytes(weights(trained))
        (partial / CONFIG).write_text(json.dumps(describe(trained, raw), indent=2) + "\n", encoding="utf-8")
        images = trained.decode(draw_latents(trained.latent, 0, np.arange(SHOWN)))
        save_png(partial / SAMPLES, image_grid(images, COLUMNS))
        apart = write_programs(trained, partial, onnx)
        files = [name for name in ABOUT if (partial / name).exists()]
        (partial / CARD).write_text(model_card(facts, trained, files, apart), encoding="utf-8")
        partial.replace(out)
    except OSError as error:
        raise UserError(f"DIR {out}: cannot be written ({error.strerror or error}); give another place") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported([CARD, *files], apart)


def without_places(config: RunConfig) -> RunConfig:
    """Where the data lie, and whose the run is in W&B, is nobody else's business."""
    data = config.data.model_copy(update={"path": Path(config.data.path).name})
    return config.model_copy(update={"data": data, "wandb": type(config.wandb)()})


def check_new(out: Path) -> None:
    check_parent(out, "DIR")
    if out.resolve() == Path.cwd():
        raise UserError(f"DIR {out}: is where you are; name a new folder")
    if os.path.lexists(out) and not (os.path.isdir(out) and not os.listdir(out)):
        raise UserError(f"DIR {out}: is not empty; name a new folder")


def describe(trained: Trained, raw: bool) -> dict[str, object]:
    """Everything that is needed to use the model."""
    return {
        "library": "gen-dist",
        "version": gen_dist.__version__,
        "kind": trained.config.objective.kind,
        "step": trained.step,
        "weights": "raw" if raw else "averaged",
        "latent": {"size": trained.latent.size, "prior": trained.latent.prior},
        "images": {"height": trained.size, "width": trained.size, "channels": trained.channels, "range": [0, 1]},
        "config": trained.config.model_dump(),
    }
