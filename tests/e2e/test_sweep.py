"""The sweep of the documentation: its commands are expanded by wandb's own agent code, and train."""

import itertools
import re
from pathlib import Path

import yaml
from PIL import Image
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from gen_dist.config import flatten
from gen_dist.record.run_folder import RunFolder
from tests.command import ROOT, gen_dist

FAST = ("--no-ray", "train.steps=2", "model.width=4", "data.size=32", "train.batch_size=8", "train.microbatch_size=4")


def test_the_documented_sweep_trains_each_choice_of_its_parameters(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "results.md").read_text()
    [written] = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "parameters:" in block]
    sweep = yaml.safe_load(written)
    (tmp_path / "photos").mkdir()
    for number in range(12):
        Image.effect_noise((40, 40), 60 + number).convert("RGB").save(tmp_path / "photos" / f"{number}.png")
    choices = [[(key, value) for value in found["values"]] for key, found in sweep["parameters"].items()]
    for number, chosen in enumerate(list(itertools.product(*choices))[::3]):
        asked = {"args": {key: {"value": value} for key, value in chosen}}
        parts = create_sweep_command_args(asked)
        command = [
            word
            for part in create_sweep_command(sweep["command"])
            for word in (parts[part[2:-1]] if part.startswith("${") else [part])
        ]
        assert command[:2] == ["gen-dist", "train"]
        identity = f"sweeprun{number}"
        done = gen_dist(*command[1:], *FAST, "--run-dir", identity, cwd=tmp_path,
                        WANDB_RUN_ID=identity, WANDB_SWEEP_ID="sweep1")  # fmt: skip
        assert done.code == 0, done.err
        run = RunFolder.open(tmp_path / identity)
        settings = flatten(run.config)
        assert all(settings[key] == value for key, value in chosen)
        assert run.info["wandb_id"] == identity
        assert [path.name.endswith(identity) for path in (run.path / "wandb").glob("offline-run-*")] == [True]
        assert f'"{sweep["metric"]["name"]}"' in (run.path / "metrics.jsonl").read_text()
