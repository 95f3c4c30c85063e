"""Reports of trained runs as a user makes them, and the one that training leaves."""

import shutil
from pathlib import Path

import pytest

from tests.command import gen_dist, train
from tests.foreign_run import under_way_elsewhere

SMALL = ("--no-ray", "train.steps=4", "train.sample_every=2", "data.path=bundled:emoji", "data.size=32",
         "train.batch_size=8", "train.microbatch_size=4", "train.precision=fp32", "train.log_every=1")  # fmt: skip
WIDTHS = ("model.latent=6", "model.encoder_width=4", "model.generator_width=4", "model.discriminator_width=4")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("report")
    train(cwd, "vae", "vae-64", *SMALL, "model.latent=6", "model.width=4")
    train(cwd, "gan", "smoke", *SMALL)
    train(cwd, "vaegan", "vaegan-64", *SMALL, *WIDTHS)
    (cwd / "empty").mkdir()
    shutil.copytree(cwd / "vae", cwd / "early")
    for name in ("checkpoints", "samples", "reconstructions"):
        shutil.rmtree(cwd / "early" / name)
    for name in ("metrics.jsonl", "report.html"):
        (cwd / "early" / name).unlink()
    return cwd


@pytest.mark.parametrize("run", ["vae", "gan", "vaegan"])
def test_training_leaves_a_report_and_the_command_adds_the_latent_space(run, place):
    page = place / run / "report.html"
    left = page.read_text()
    assert "<h2>Curves</h2>" in left
    assert "<h2>Latent space</h2>" not in left
    assert ("<h2>Reconstructions</h2>" in left) == (run != "gan")
    done = gen_dist("report", run, cwd=place)
    assert done.code == 0, done.err
    assert done.out == f"{run}/report.html\n"
    assert ("<h2>Latent space</h2>" in page.read_text()) == (run != "gan")


def test_several_runs_side_by_side_as_markdown_too(place):
    for out in ("all.html", "all.md"):
        done = gen_dist("report", "vae", "gan", "vaegan", "--out", out, cwd=place)
        assert done.code == 0, done.err
        text = (place / out).read_text()
        assert all(name in text for name in ("vae", "gan", "vaegan"))
    assert (place / "all-files" / "latent-0.svg").exists()


def test_a_run_under_way_without_its_data_or_that_has_nothing_yet(place):
    with under_way_elsewhere(place / "vae", place / "moved"):
        for run in ("moved", "early"):
            done = gen_dist("report", run, "--out", f"{run}.html", cwd=place)
            assert done.code == 0, done.err
            assert "note: no view of the latent space: " in done.out
            assert (place / f"{run}.html").exists()
    assert gen_dist("report", "early", "--no-latent", "--out", "early.md", cwd=place).out == "early.md\n"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nothing"], ["run folder 'nothing': no such folder"]),
        (["empty"], ["holds no run"]),
        (["gan", "gan"], ["given twice"]),
        (["gan"] * 13, ["13 runs; a report tells of at most 12"]),
        (["gan", "--out", "x.pdf"], ["must end in .html or .md"]),
        (["gan", "--out", "no/x.html"], ["is no folder"]),
        (["gan", "vae", "--out", "gan"], ["must end in .html or .md"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(arguments, parts, place):
    before = sorted(place.iterdir())
    done = gen_dist("report", *arguments, cwd=place)
    assert done.code == 2, done.err
    assert len(done.err.splitlines()) == 1
    for part in parts:
        assert part in done.err
    assert sorted(place.iterdir()) == before
