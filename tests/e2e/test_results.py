"""Images from trained runs as a user makes them: every command on a VAE, a GAN and a VAE-GAN, and what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.results.trained import Trained
from tests.command import Done, gen_dist, train

SMALL = ("--no-ray", "train.steps=3", "train.sample_every=1", "data.path=bundled:emoji", "data.size=32",
         "train.batch_size=8", "train.microbatch_size=4", "train.precision=fp32")  # fmt: skip
WIDTHS = ("model.latent=6", "model.encoder_width=4", "model.generator_width=4", "model.discriminator_width=4")
GAP = 2  # of a grid


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("results")
    train(cwd, "vae", "vae-64", *SMALL, "model.latent=6", "model.width=4")
    train(cwd, "flat", "vae-64", *SMALL, "model.latent=2", "model.width=4")
    train(cwd, "gan", "smoke", *SMALL)
    train(cwd, "uniform", "smoke", *SMALL, "model.prior=uniform", "train.steps=1")
    train(cwd, "vaegan", "vaegan-64", *SMALL, *WIDTHS)
    np.save(cwd / "gray.npy", np.random.default_rng(0).integers(0, 256, (9, 16, 16, 1), np.uint8))
    train(cwd, "gray", "vae-64", *SMALL, "model.width=4", "data.size=16", "data.path=gray.npy",
          "data.prepare.gray=true", "train.steps=1")  # fmt: skip
    train(cwd, "growing", "dcgan-grow-64", *SMALL, "model.latent=6", "model.generator_width=4",
          "model.discriminator_width=4", "model.stage_steps=2", "model.fade_steps=4")  # fmt: skip
    (cwd / "more").mkdir()
    for number in range(4):
        Image.effect_noise((40, 40), 60 + number).convert("RGB").save(cwd / "more" / f"{number}.png")
    photos = cwd / "photos"
    photos.mkdir()
    for number in range(3):
        Image.effect_noise((50 + number, 40), 80).convert("RGB").save(photos / f"{number}.png")
    (cwd / "text.png").write_text("no image")
    (cwd / "empty").mkdir()
    shutil.copytree(cwd / "gan", cwd / "early")
    shutil.rmtree(cwd / "early" / "checkpoints")
    shutil.rmtree(cwd / "early" / "samples")
    shutil.copytree(cwd / "gan", cwd / "truncated")
    weights = cwd / "truncated" / "checkpoints" / "step-00000003" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    picture = cwd / "truncated" / "samples" / "step-00000002.png"
    picture.write_bytes(picture.read_bytes()[:1000])
    return cwd


def good(done: Done) -> str:
    assert done.code == 0, done.err
    return done.out


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        picture.load()
        return picture.size


@pytest.mark.parametrize("run", ["vae", "gan", "vaegan", "uniform", "growing"])
def test_images_as_a_grid_and_each_alone(run, place):
    good(gen_dist("generate", run, "--count", 3, "--out", "grid.png", "--truncation", 0.5, cwd=place))
    good(gen_dist("generate", run, "--count", 3, "--out", f"{run}-singles", "--truncation", 0.5, cwd=place))
    singles = sorted((place / f"{run}-singles").iterdir())
    assert [path.name for path in singles] == ["000000.png", "000001.png", "000002.png"]
    grid = np.asarray(Image.open(place / "grid.png"))
    scale = (grid.shape[1] - GAP) // 2 - GAP  # two columns
    first = np.asarray(Image.open(singles[0]).resize((scale, scale), Image.Resampling.NEAREST))
    assert np.array_equal(grid[GAP : GAP + scale, GAP : GAP + scale], first)


@pytest.mark.parametrize("run", ["gan", "growing"])
def test_the_best_of_some_are_those_that_the_discriminator_prefers(run, place):
    good(gen_dist("generate", run, "--count", 2, "--best-of", 4, "--out", f"{run}-best", cwd=place))
    trained = Trained.open(place / run)
    best = np.stack([np.asarray(Image.open(path)) for path in sorted((place / f"{run}-best").iterdir())])
    good(gen_dist("generate", run, "--count", 8, "--out", f"{run}-all", cwd=place))
    every = np.stack([np.asarray(Image.open(path)) for path in sorted((place / f"{run}-all").iterdir())])
    scores = trained.judge(every).reshape(2, 4)
    assert np.array_equal(trained.judge(best), scores.max(axis=1))
    assert scores.std() > 0


@pytest.mark.parametrize("run", ["vae", "vaegan"])
def test_reconstructions(run, place):
    done = gen_dist("reconstruct", run, "photos", "photos/1.png", "--out", "made.png", cwd=place)
    assert "mean squared error 0." in good(done)
    width, height = size_of(place / "made.png")
    cell = 96 + GAP
    assert (width, height) == (4 * cell + GAP, 2 * cell + GAP)
    good(gen_dist("reconstruct", run, "bundled:emoji", "--count", 11, "--out", "made.png", cwd=place))
    assert size_of(place / "made.png") == (8 * cell + GAP, 4 * cell + GAP)


def test_reconstructions_show_the_images_as_the_model_sees_them(place):
    good(gen_dist("reconstruct", "gray", "photos", "--out", "made.png", cwd=place))
    with Image.open(place / "made.png") as picture:
        assert picture.mode == "L"


@pytest.mark.parametrize(
    ("run", "images"),
    [("vae", ["photos"]), ("vaegan", ["photos/0.png", "photos/2.png"]), ("gan", []), ("uniform", [])],
)
@pytest.mark.parametrize("kind", ["png", "gif", "mp4"])
def test_ways_between_images(run, images, kind, place):
    out = f"way.{kind}"
    good(gen_dist("interpolate", run, *images, "--steps", 4, "--rows", 2, "--fps", 12.5, "--out", out, cwd=place))
    if kind == "png":
        assert size_of(place / out)[0] == 4 * (96 + GAP) + GAP
    elif kind == "gif":
        assert milliseconds_of(place / out) == 80 * 4 * (2 if len(images) == 2 else 3)
    else:
        assert frames_of(place / out) == 4 * (2 if len(images) == 2 else 3)


def milliseconds_of(path: Path) -> int:
    """Frames that are alike are one that is shown for longer."""
    with Image.open(path) as picture:
        found = 0
        for number in range(picture.n_frames):
            picture.seek(number)
            found += picture.info["duration"]
        return found


def frames_of(path: Path) -> int:
    import av

    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_way_begins_with_what_encoding_and_decoding_make_of_the_first_image(place):
    good(gen_dist("interpolate", "vae", "photos/0.png", "photos/1.png", "--steps", 2, "--out", "way.png", cwd=place))
    good(gen_dist("reconstruct", "vae", "photos/0.png", "photos/1.png", "--out", "made.png", cwd=place))
    way, made = (np.asarray(Image.open(place / name)) for name in ("way.png", "made.png"))
    assert np.array_equal(way, made[made.shape[0] // 2 - GAP // 2 :])


@pytest.mark.parametrize(
    ("run", "data", "named"), [("vae", [], True), ("vaegan", ["--data", "more"], False), ("flat", [], True)]
)
def test_the_latent_space(run, data, named, place):
    out = good(gen_dist("latent", run, *data, "--out", f"{run}-latent", "--side", 3, "--count", 50, cwd=place))
    files = ["latent-grid.png", "latent-2d.html", *(["latent-3d.html"] if run != "flat" else [])]
    assert out.splitlines()[-len(files) :] == [f"{run}-latent/{name}" for name in files]
    assert size_of(place / f"{run}-latent" / "latent-grid.png") == (3 * 33 + 1, 3 * 33 + 1)
    for name in files[1:]:
        page = (place / f"{run}-latent" / name).read_text()
        assert ("Smileys" in page) is named
        assert "<script src=" not in page  # it opens without a network


def test_a_grid_shows_what_the_model_makes_of_its_latents(place):
    good(gen_dist("latent", "flat", "--out", "again", "--side", 3, "--count", 50, cwd=place))
    trained = Trained.open(place / "flat")
    middle = trained.decode(np.zeros((1, 2), np.float32))[0]
    assert np.array_equal(np.asarray(Image.open(place / "again" / "latent-grid.png"))[34:66, 34:66], middle)


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_training_as_an_animation(kind, place):
    assert "3 frames" in good(gen_dist("animate", "gan", "--out", f"training.{kind}", cwd=place))
    assert "2 frames" in good(gen_dist("animate", "gan", "--frames", 2, "--out", f"training.{kind}", cwd=place))
    with Image.open(place / "gan" / "samples" / "step-00000001.png") as first:
        expected = first.size
    if kind == "gif":
        assert size_of(place / "training.gif") == expected


ROWS = {
    "nothing there": (["reconstruct", "empty", "photos"], "holds no run"),
    "no checkpoint": (["generate", "early"], "has no checkpoint yet"),
    "no pictures": (["animate", "early"], "has no pictures yet"),
    "damaged weights": (["generate", "truncated"], "weights.safetensors"),
    "a damaged picture": (["animate", "truncated"], "step-00000002.png': damaged"),
    "a GAN cannot encode": (["reconstruct", "gan", "photos"], "which cannot encode images"),
    "between images of a GAN": (["interpolate", "gan", "photos"], "which cannot encode images"),
    "latent space of a GAN": (["latent", "gan"], "which cannot encode images"),
    "no points": (["latent", "vae", "--count", "3"], "--count 3: must be between"),
    "hardly any images": (["latent", "vae", "--data", "photos"], "3 images; a latent space needs at least 4"),
    "a data set to download": (["reconstruct", "vae", "mnist"], "IMAGES mnist: a data set to be downloaded"),
    "a home of nobody": (["reconstruct", "vae", "~nobody-at-all/x.png"], "no such file"),
    "too long a film": (
        ["interpolate", "gan", "--steps", "1000", "--rows", "999", "--out", "x.gif"],
        "pictures of 256×256 pixels: too much",
    ),
    "too large a grid": (["latent", "vae", "--out", "none/x"], "'none' is no folder"),
    "a grid of one": (["latent", "vae", "--side", "1"], "--side 1: must be between"),
    "latent space of nowhere": (["latent", "vae", "--data", "nowhere"], "data.path 'nowhere': no such file"),
    "latent space into a file": (
        ["latent", "vae", "--out", "text.png", "--side", "2", "--count", "4"],
        "cannot be made",
    ),
    "one image": (["interpolate", "vae", "photos/0.png"], "one image; give two, or none"),
    "no such image": (["reconstruct", "vae", "nowhere.png"], "IMAGES 'nowhere.png': no such file"),
    "a text": (["reconstruct", "vae", "text.png"], "text.png"),
    "an empty folder": (["reconstruct", "vae", "empty"], "the folder is empty"),
    "no images": (["reconstruct", "vae"], "Missing argument 'IMAGES...'"),
    "best without a judge": (["generate", "vae", "--best-of", "3"], "has no discriminator"),
    "best of none": (["generate", "gan", "--best-of", "0"], "--best-of 0: must be between"),
    "truncated to nothing": (["generate", "gan", "--truncation", "0"], "--truncation 0: must be above 0"),
    "a truncation that is no number": (["generate", "gan", "--truncation", "nan"], "--truncation nan: must be"),
    "singles over something": (["generate", "gan", "--out", "photos"], "--out photos: is not empty"),
    "a seed below zero": (["interpolate", "gan", "--seed", "-1"], "--seed -1: must be between"),
    "one step": (["interpolate", "gan", "--steps", "1"], "--steps 1: must be between"),
    "too large": (
        ["interpolate", "gan", "--steps", "1000", "--rows", "999"],
        "pixels: too much for a file; take fewer images: --steps, --rows",
    ),
    "too fast": (["interpolate", "gan", "--fps", "1000", "--out", "x.gif"], "--fps 1000: must be between"),
    "a film that is none": (["animate", "gan", "--out", "x.png"], "--out x.png: must end in .gif or .mp4"),
    "nowhere": (["animate", "gan", "--out", "none/x.gif"], "'none' is no folder; make it"),
    "a pack of other images": (["reconstruct", "gray", "bundled:emoji"], "the model's are 16×16 with 1"),
}


@pytest.mark.parametrize("row", ROWS)
def test_bad_input(row, place):
    arguments, message = ROWS[row]
    before = sorted(path for path in place.rglob("*") if path.name != "lock")
    done = gen_dist(*arguments, cwd=place)
    assert done.code == 2, done
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert sorted(path for path in place.rglob("*") if path.name != "lock") == before
