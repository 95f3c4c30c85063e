"""Scores of trained runs as a user asks for them: on a VAE, a GAN and a VAE-GAN, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.evaluating.figures import GROUPS
from gen_dist.evaluating.record import read_record
from gen_dist.scores.inception import load_inception
from tests.command import gen_dist, train
from tests.foreign_run import ELSEWHERE, under_way_elsewhere
from tests.inception_file import write_noise_weights
from tests.packs import pack_of
from tests.score_images import stripes

SMALL = ("--no-ray", "train.steps=2", "train.sample_every=1", "data.path=seen", "data.size=32",
         "train.batch_size=8", "train.microbatch_size=4", "train.precision=fp32")  # fmt: skip
WIDTHS = ("model.latent=6", "model.encoder_width=4", "model.generator_width=4", "model.discriminator_width=4")
ALL = set(GROUPS) - {"inception"}  # which needs a file
OF_SAMPLES = {"wasserstein", "features", "diversity", "memorisation"}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("evaluate")
    for name, seed in (("seen", 1), ("unseen", 2)):
        images, labels = stripes(60, 32, seed)
        colored = np.repeat(images, 3, axis=3)
        pack_of(cwd / name, colored, classes=["across", "upright", "none"], labels=labels)
        if name == "unseen":
            pack_of(cwd / "gray", images)
            pack_of(cwd / "few", colored[:5])
    train(cwd, "vae", "vae-64", *SMALL, "model.latent=6", "model.width=4")
    done = gen_dist("train", "smoke", *SMALL, "--run-dir", "gan", cwd=cwd)  # with W&B
    assert done.code == 0, done.err
    train(cwd, "vaegan", "vaegan-64", *SMALL, *WIDTHS)
    (cwd / "photos").mkdir()
    for number in range(18):
        Image.effect_noise((50 + number, 40), 80).convert("RGB").save(cwd / "photos" / f"{number}.png")
    (cwd / "empty").mkdir()
    shutil.copytree(cwd / "gan", cwd / "truncated")
    weights = cwd / "truncated" / "checkpoints" / "step-00000002" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    shutil.copytree(cwd / "gan", cwd / "early")
    shutil.rmtree(cwd / "early" / "checkpoints")
    return cwd


def groups_of(record) -> set[str]:
    names = {figure.name for figure in record.figures}
    return {group for group, kinds in GROUPS.items() if names & set(kinds)}


@pytest.mark.parametrize(
    ("run", "groups"), [("vae", ALL), ("gan", OF_SAMPLES), ("vaegan", OF_SAMPLES | {"reconstruction"})]
)
def test_each_kind_of_model_has_its_scores(run, groups, place):
    done = gen_dist("evaluate", run, "--data", "unseen", "--out", f"{run}.json", cwd=place)
    assert done.code == 0, done.err
    record = read_record(place / f"{run}.json")
    assert groups_of(record) == groups
    assert set(record.left_out) == ALL - groups | {"inception"}
    assert (record.step, record.held_out, record.images) == (2, True, 40)
    assert all(np.isfinite(figure.estimate.value) for figure in record.figures)
    for group in ALL - groups:
        assert f"left out: {group}: a " in done.out


def test_with_inceptions_weights_there_are_fid_and_kid(place):
    write_noise_weights(place / "noise.safetensors")
    done = gen_dist("evaluate", "gan", "--data", "unseen", "--scores", "inception", "--inception", "noise.safetensors",
                    "--count", "16", "--out", "inception.json", cwd=place)  # fmt: skip
    assert done.code == 0, done.err
    found = json.loads((place / "inception.json").read_bytes())["scores"]
    assert list(found) == ["fid", "kid"]
    for score in found.values():
        assert score["detail"] == {"inception": load_inception(place / "noise.safetensors").fingerprint}
        assert score["interval"][0] < score["value"] < score["interval"][1]
        assert score["value"] > score["real"]["value"]  # after two steps, of noise


def test_the_file_is_the_same_whoever_computes(place):
    write_noise_weights(place / "noise.safetensors")
    files = []
    for workers in (1, 3):
        out = place / f"by-{workers}.json"
        groups = "wasserstein,inception,likelihood,reconstruction"
        done = gen_dist("evaluate", "vae", "--data", "unseen", "--scores", groups, "--inception", "noise.safetensors",
                        "--count", 16, "--workers", workers, "--out", out, cwd=place)  # fmt: skip
        assert done.code == 0, done.err
        files.append(out.read_bytes())
    assert files[0] == files[1]


def test_wandb_and_the_run_folder_have_the_scores(place):
    before = set((place / "gan" / "wandb").glob("offline-run-*"))
    done = gen_dist("evaluate", "gan", "--data", "unseen", "--scores", "diversity", cwd=place)
    assert done.code == 0, done.err
    new = set((place / "gan" / "wandb").glob("offline-run-*")) - before
    assert len(new) == 1
    assert str(new.pop()) in done.out
    found = json.loads((place / "gan" / "evaluation.json").read_bytes())
    assert list(found["scores"]) == ["ms_ssim"]
    assert "MS-SSIM between samples" in done.out


def test_without_held_out_images_it_says_so(place):
    done = gen_dist("evaluate", "gan", "--scores", "wasserstein,memorisation", "--out", "own.json", cwd=place)
    assert done.code == 0, done.err
    assert "note: the images were trained on" in done.out
    assert "left out: memorisation: needs images that the run has not seen: --data" in done.out
    assert "20 images of the training set in 2 parts" in done.out
    again = gen_dist("evaluate", "gan", "--data", "seen", "--scores", "wasserstein", "--out", "same.json", cwd=place)
    assert "note: all images of --data seen are training images" in again.out


def test_a_run_under_way_or_from_another_machine(place):
    with under_way_elsewhere(place / "gan", place / "moved"):
        done = gen_dist("evaluate", "moved", "--data", "photos", "--out", "moved.json", cwd=place)
    assert done.code == 0, done.err
    assert f"note: the training images are not here ({ELSEWHERE})" in done.out
    assert "left out: memorisation: needs the training images" in done.out
    assert "W&B: not told of the scores" in done.out
    names = {figure.name for figure in read_record(place / "moved.json").figures}
    assert names == {"sliced_wasserstein", "precision", "recall", "ms_ssim"}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nothing"], ["run folder 'nothing': no such folder"]),
        (["empty"], ["holds no run"]),
        (["early"], ["has no checkpoint yet"]),
        (["truncated"], ["weights.safetensors"]),
        (["gan", "--count", "7"], ["--count 7: must be between 8 and 100000"]),
        (["gan", "--workers", "0"], ["--workers 0: must be between 1 and 1024"]),
        (["gan", "--seed", "-1"], ["--seed -1"]),
        (["gan", "--scores", "fid"], ["--scores fid: unknown; there are wasserstein, features"]),
        (["gan", "--scores", "likelihood"], ["nothing to compute: likelihood: a gan has no likelihood of pixels"]),
        (["gan", "--scores", "inception"], ["needs Inception's weights: --inception FILE.safetensors"]),
        (["gan", "--inception", "x", "--scores", "diversity"], ["--inception x: --scores diversity does not look"]),
        (["gan", "--inception", "nothing"], ["inception 'nothing': cannot be read (No such file or directory)"]),
        (["gan", "--inception", "photos/0.png"], ["inception 'photos/0.png': is no safetensors file"]),
        (["gan", "--out", "x.txt"], ["must end in .json"]),
        (["gan", "--out", "no/x.json"], ["is no folder"]),
        (["gan", "--data", "nothing"], ["nothing"]),
        (["gan", "--data", "gray"], ["data.channels 3: the images of 'gray' have 1"]),
        (["gan", "--data", "few"], ["5 to compare with; scores need at least 8"]),
        (["gan", "--address", "127.0.0.1:1"], ["127.0.0.1:1"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, parts, place):
    before = sorted(place.iterdir())
    done = gen_dist("evaluate", *arguments, cwd=place)
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1
    for part in parts:
        assert part in done.err
    assert sorted(place.iterdir()) == before
