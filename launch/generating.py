"""`gen-dist generate`: a grid of new images from a run's last checkpoint."""

import math
from pathlib import Path

import torch

from gen_dist.checkpointing import read_facts
from gen_dist.engine.state import State
from gen_dist.errors import UserError
from gen_dist.launch.request import read_latest
from gen_dist.objectives.build import build_objective
from gen_dist.presets import load_config
from gen_dist.record.pictures import image_grid, save_png
from gen_dist.record.run_folder import RunFolder
from gen_dist.showing import sample_images


def generate_grid(run: Path, count: int, out: Path, seed: int, raw: bool) -> None:
    """Write `count` images as one PNG, in rows as near to a square as they go.

    Raises:
        UserError: no run, no checkpoint, a bad count or seed, or a file that cannot be written.
    """
    if not 1 <= count <= 10_000:
        raise UserError(f"--count {count}: must be between 1 and 10000")
    if not 0 <= seed < 2**63:
        raise UserError(f"--seed {seed}: must be between 0 and 2^63 - 1")
    if out.suffix.lower() != ".png":
        raise UserError(f"--out {out}: must end in .png")
    folder = RunFolder.open(run)
    files = read_latest(folder)
    if files is None:
        raise UserError(f"run folder '{run}': has no checkpoint yet; wait for one, or train longer")
    config = load_config(str(folder.path / "config.yaml"))
    objective, device = build_objective(config), torch.device("cpu")
    state = State.create(config, read_facts(files)["channels"], objective.shown, device)
    state.load_files(files)
    modules = state.modules if raw else state.showing
    images = sample_images(objective, modules, seed, count, device)
    try:
        save_png(out, image_grid(images, math.ceil(math.sqrt(count))))
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror or error})") from None
