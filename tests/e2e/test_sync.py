"""Uploading what was recorded offline: what wandb is asked, and what is said where it fails."""

import shutil
from pathlib import Path

import pytest

from gen_dist.record.run_folder import RunFolder
from tests.command import gen_dist, train

FAKE = '''"""As `python -m wandb`: notes what it is asked and marks folders as wandb does."""
import sys
from pathlib import Path

_, verb, *folders = sys.argv
assert verb == "sync"
for folder in folders:
    if not Path(folder, "refused").exists():
        Path(folder, "run-x.wandb.synced").touch()
with open("asked.txt", "a") as file:
    print(*(Path(folder).name for folder in folders), file=file)
print("wandb: done")
'''


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("sync")
    train(cwd, "plain", "smoke", "--no-ray", "train.steps=1")
    done = gen_dist("train", "smoke", "--no-ray", "train.steps=1", "--run-dir", "run", cwd=cwd)
    assert done.code == 0, done.err
    (cwd / "fake" / "wandb").mkdir(parents=True)
    (cwd / "fake" / "wandb" / "__init__.py").touch()
    (cwd / "fake" / "wandb" / "__main__.py").write_text(FAKE)
    return cwd


def sync_with_fake(place: Path, run: str):
    from tests.command import ROOT

    return gen_dist("sync", run, cwd=place, PYTHONPATH=f"{place / 'fake'}:{ROOT}")


def test_folders_are_uploaded_once_and_in_order(place):
    run = shutil.copytree(place / "run", place / "twice")
    [first] = (run / "wandb").glob("offline-run-*")
    shutil.copytree(first, first.with_name("offline-run-99990101_000000-abcdefgh"))
    assert sync_with_fake(place, "twice").out == "uploaded: 2\n"
    assert (place / "asked.txt").read_text() == f"{first.name} offline-run-99990101_000000-abcdefgh\n"
    assert sync_with_fake(place, "twice").out == "uploaded: 0\n"
    assert len((place / "asked.txt").read_text().splitlines()) == 1


def test_what_is_being_written_waits(place):
    run = RunFolder.open(shutil.copytree(place / "run", place / "busy"))
    run.lock()
    assert sync_with_fake(place, "busy").out == "uploaded: 0\n"
    run.unlock()
    assert sync_with_fake(place, "busy").out == "uploaded: 1\n"


def test_a_refusal_is_told(place):
    run = shutil.copytree(place / "run", place / "refused")
    [folder] = (run / "wandb").glob("offline-run-*")
    (folder / "refused").touch()
    done = sync_with_fake(place, "refused")
    assert (done.code, done.err) == (1, f"gen-dist: W&B: not uploaded: {folder.name} (wandb: done)\n")


def test_wandb_itself_says_that_nobody_is_logged_in(place):
    done = gen_dist("sync", "run", cwd=place, HOME=str(place), WANDB_API_KEY="", WANDB_BASE_URL="http://127.0.0.1:9")
    assert done.code == 1, done
    assert done.err.startswith("gen-dist: W&B: not uploaded: offline-run-")
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(("run", "part"), [("nothing", "no such folder"), ("plain", "wandb.mode is disabled")])
def test_bad_input_is_one_line(run, part, place):
    done = gen_dist("sync", run, cwd=place)
    assert done.code == 2
    assert part in done.err
    assert len(done.err.splitlines()) == 1
