"""Models as folders for others: what is in them, that they compute the same, and what is refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from gen_dist.results.latents import draw_latents
from gen_dist.results.trained import Trained
from tests.command import gen_dist, train
from tests.foreign_run import under_way_elsewhere

SMALL = ("--no-ray", "train.steps=2", "train.sample_every=1", "data.path=bundled:emoji", "data.size=32",
         "train.batch_size=8", "train.microbatch_size=4", "train.precision=fp32")  # fmt: skip
WIDTHS = ("model.latent=6", "model.encoder_width=4", "model.generator_width=4", "model.discriminator_width=4")
OF_ALL = {"README.md", "config.json", "model.safetensors", "samples.png", "generator.pt2", "generator.onnx"}
OF_ENCODERS = OF_ALL | {"encoder.pt2", "encoder.onnx"}
RUNS = {"vae": OF_ENCODERS, "gan": OF_ALL, "vaegan": OF_ENCODERS, "growing": OF_ALL, "gray": OF_ENCODERS}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("export")
    train(cwd, "vae", "vae-64", *SMALL, "model.latent=6", "model.width=4")
    train(cwd, "gan", "smoke", *SMALL, "model.prior=uniform")
    train(cwd, "vaegan", "vaegan-64", *SMALL, *WIDTHS)
    train(cwd, "growing", "dcgan-grow-64", *SMALL, "model.latent=6", "model.generator_width=4",
          "model.discriminator_width=4", "model.stage_steps=1", "model.fade_steps=2")  # fmt: skip
    np.save(cwd / "gray.npy", np.random.default_rng(0).integers(0, 256, (9, 16, 16, 1), np.uint8))
    train(
        cwd, "gray", "vae-64", *SMALL, "model.width=4", "data.size=16", "data.path=gray.npy", "data.prepare.gray=true"
    )
    for run in RUNS:
        done = gen_dist("export", run, f"of-{run}", cwd=cwd)
        assert done.code == 0, done.err
    (cwd / "empty").mkdir()
    shutil.copytree(cwd / "gan", cwd / "early")
    shutil.rmtree(cwd / "early" / "checkpoints")
    return cwd


@pytest.mark.parametrize(("run", "files"), RUNS.items())
def test_what_is_exported_computes_what_the_model_does(run, files, place):
    folder = place / f"of-{run}"
    assert {path.name for path in folder.iterdir()} == files
    trained = Trained.open(place / run)
    z_NZ = draw_latents(trained.latent, 3, np.arange(4))
    wanted = trained.decode(z_NZ)
    program = torch.export.load(str(folder / "generator.pt2")).module()
    made = program(torch.from_numpy(z_NZ)).detach().permute(0, 2, 3, 1).numpy()
    assert np.abs(made * 255 - wanted).max() < 0.51  # which is rounded
    tensors = load_file(folder / "model.safetensors")
    for name, tensor in (
        trained.modules["generator" if run in ("gan", "vaegan", "growing") else "decoder"].state_dict().items()
    ):
        assert any(key.endswith(name) and torch.equal(found, tensor) for key, found in tensors.items())
    about = json.loads((folder / "config.json").read_text())
    assert (about["latent"]["size"], about["images"]["height"]) == (trained.latent.size, trained.size)


def test_a_run_under_way_or_from_another_machine(place):
    with under_way_elsewhere(place / "gan", place / "moved"):
        done = gen_dist("export", "moved", "of-moved", cwd=place)
    assert done.code == 0, done.err
    for name in ("model.safetensors", "generator.onnx"):
        assert (place / "of-moved" / name).read_bytes() == (place / "of-gan" / name).read_bytes()


@pytest.mark.parametrize("run", ["vae", "gan", "gray"])
def test_the_ten_lines_of_the_model_card_make_images(run, place, tmp_path):
    card = (place / f"of-{run}" / "README.md").read_text()
    [script] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert len([line for line in script.splitlines() if line]) <= 10
    shutil.copy(place / f"of-{run}" / "generator.onnx", tmp_path)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, timeout=60)
    assert len(list(tmp_path.glob("*.png"))) == 16
    with Image.open(tmp_path / "0.png") as picture:
        trained = Trained.open(place / run)
        assert picture.size == (trained.size, trained.size)
        assert picture.mode == ("L" if trained.channels == 1 else "RGB")


def test_an_encoder_gives_the_means_of_latents(place):
    import onnxruntime

    trained = Trained.open(place / "vae")
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    session = onnxruntime.InferenceSession(str(place / "of-vae" / "encoder.onnx"))
    [z] = session.run(None, {"images": images.transpose(0, 3, 1, 2).astype(np.float32) / 255})
    assert np.allclose(z, trained.encode(images), atol=1e-4)


def test_where_the_data_lie_stays_here(place):
    home = place / "private" / "photos.npy"
    home.parent.mkdir()
    shutil.copy(place / "gray.npy", home)
    train(place, "own", "vae-64", *SMALL, "model.width=4", "data.size=16", f"data.path={home}",
          "data.prepare.gray=true", "wandb.entity=somebody")  # fmt: skip
    assert gen_dist("export", "own", "of-own", "--no-onnx", cwd=place).code == 0
    for path in (place / "of-own").iterdir():
        assert b"private" not in path.read_bytes(), path
        assert b"somebody" not in path.read_bytes(), path
    assert "data.path=photos.npy" in (place / "of-own" / "README.md").read_text()
    assert not list((place / "of-own").glob("*.onnx"))


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nothing", "out"], ["run folder 'nothing': no such folder"]),
        (["empty", "out"], ["holds no run"]),
        (["early", "out"], ["has no checkpoint yet"]),
        (["gan", "of-gan"], ["DIR of-gan: is not empty; name a new folder"]),
        (["gan", "gray.npy"], ["DIR gray.npy: is not empty"]),
        (["gan", "no/where"], ["DIR no/where: cannot be written"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, parts, place):
    before = sorted(place.iterdir())
    done = gen_dist("export", *arguments, cwd=place)
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1
    for part in parts:
        assert part in done.err
    assert sorted(place.iterdir()) == before
