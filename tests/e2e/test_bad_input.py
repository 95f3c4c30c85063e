"""Bad input: one clear line on the error stream, exit code 2, no traceback, nothing half-written."""

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import gen_dist, train
from tests.conftest import write_pack


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with everything that the rows below name."""
    cwd = tmp_path_factory.mktemp("bad")
    for folder in ("empty", "texts", "single"):
        (cwd / folder).mkdir()
    (cwd / "texts" / "note.txt").write_text("no image")
    (cwd / "texts" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(cwd / "single" / "only.png")
    (cwd / "a-file").write_text("in the way")
    write_pack(cwd / "pack16", images=5, size=16)
    train(cwd, "good", "smoke", "--no-ray", "train.steps=2")
    for name in ("corrupt", "pickled", "pointless"):
        shutil.copytree(cwd / "good", cwd / name)
    checkpoint = "checkpoints/step-00000002"
    weights = cwd / "corrupt" / checkpoint / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    (cwd / "pickled" / checkpoint / "checksums.json").write_bytes(b"\x80\x04]\x94.")
    (cwd / "pointless" / "checkpoints" / "latest").write_text("../../elsewhere")
    return cwd


ROWS = {
    "unknown preset": (["train", "smok"], "preset 'smok': unknown, did you mean 'smoke'?"),
    "no preset": (["train"], "PRESET: missing"),
    "unknown key": (["train", "smoke", "train.stps=3"], "key 'train.stps': unknown, did you mean 'train.steps'?"),
    "out of range": (["train", "smoke", "train.steps=0"], "train.steps 0: must be greater than or equal to 1"),
    "unknown option": (["train", "smoke", "--wrokers", "2"], "No such option: --wrokers"),
    "unknown command": (["trian"], "No such command 'trian'"),
    "batch not divisible": (["train", "smoke", "train.batch_size=30"], "not divisible by train.microbatch_size 8"),
    "too many workers": (["train", "smoke", "--workers", "5"], "5 workers: more than the batch has microbatches"),
    "no number of workers": (["train", "smoke", "--workers", "two"], "--workers two: must be a whole number"),
    "profile without preset": (["profile"], "PRESET: missing"),
    "profile of a part that is none": (["profile", "smoke", "--what", "disk"], "--what disk: must be one of loader"),
    "profile in two ways": (["profile", "smoke", "--sweep", "--what", "loader"], "--sweep and --what: give one"),
    "sweep into a folder": (["profile", "smoke", "--sweep", "threads=1,2", "--out", "x"], "--sweep only prints"),
    "profile of a run with settings": (["profile", "good", "train.threads=2"], "good: is a run, whose record is read"),
    "profile below a file": (["profile", "smoke", "--out", "a-file/x"], "--out a-file/x: "),
    "loader of workers": (["profile", "smoke", "--what", "loader", "--workers", "2"], "--workers 2: --what loader"),
    "profile decides its steps": (["profile", "smoke", "train.steps=9"], "train.steps=9: a profile decides that"),
    "sweep of nothing": (["profile", "smoke", "--sweep"], "--sweep: no setting has several values; give KEY=A,B,C"),
    "compared with nothing": (["profile", "smoke", "--compare", "none"], "profile 'none': cannot be read"),
    "compared with a picture": (["profile", "smoke", "--compare", "single/only.png"], "not a profile of this version"),
    "profile into a file": (["profile", "smoke", "--out", "a-file"], "--out a-file: File exists; name a folder"),
    "rate without a unit": (["plan", "smoke", "--bandwidth", "10"], "--bandwidth 10: must be a number above 0"),
    "latency without a unit": (["plan", "smoke", "--bandwidth", "1Gbit", "--latency", "0"], "--latency 0: must be "),
    "machines that are there and are not": (
        ["plan", "smoke", "--bandwidth", "1Gbit", "--address", "127.0.0.1:1"], "--bandwidth 1Gbit: of machines that"
    ),
    "weak scaling of a cluster": (["plan", "smoke", "--weak"], "--weak: belongs to --bandwidth"),
    "more workers than parts": (
        ["plan", "smoke", "--bandwidth", "1Gbit", "--workers", "64"], "--workers 64: more than the batch has microb"
    ),
    "half a range": (["train", "smoke", "--workers", "2:"], "--workers 2:: must be a whole number"),
    "an empty range": (["train", "smoke", "--workers", "3:2"], "--workers 3:2: the least comes first; use 2:3"),
    "a range beyond the batch": (
        ["train", "smoke", "--workers", "9:12"], "--workers 9:12: the batch has 4 microbatches, and a worker needs one"
    ),
    "workers without Ray": (["train", "smoke", "--workers", "2", "--no-ray"], "with --no-ray, torchrun does"),
    "missing folder": (["train", "dcgan-64", "data.path=nowhere"], "data.path 'nowhere': no such"),
    "no data": (["train", "dcgan-64"], "data.path: not set"),
    "empty folder": (["train", "dcgan-64", "data.path=empty"], "empty"),
    "no readable image": (["train", "dcgan-64", "data.path=texts"], "none of its 2 files is a readable image"),
    "one image": (["train", "dcgan-64", "data.path=single"], "1 image; training needs at least 2"),
    "pack of another size": (["train", "dcgan-64", "data.path=pack16"], "data.size is 64; set data.size=16"),
    "pack of other channels": (
        ["train", "smoke", "data.path=pack16", "data.size=16", "data.channels=1"],
        "data.channels 1: the images of 'pack16' have 3; set data.channels=3",
    ),
    "unknown bundle": (["train", "smoke", "data.path=bundled:emoticons"], "emoticons"),
    "run folder is a file": (["train", "smoke", "--run-dir", "a-file"], "there is a file in the way"),
    "run folder below a file": (["train", "smoke", "--run-dir", "a-file/x"], "there is a file in the way"),
    "unwritable run folder": (["train", "smoke", "--run-dir", "/proc/gen-dist"], "cannot be written"),
    "run folder in use": (["train", "smoke", "--resume", "never", "--run-dir", "good"], "already holds a run"),
    "no run to resume": (["train", "--resume", "nowhere"], "run folder 'nowhere': no such folder"),
    "two folders": (["train", "--resume", "good", "--run-dir", "x"], "--run-dir x: --resume good continues in its own"),
    "Ray Client": (["train", "smoke", "--address", "ray://10.0.0.1:10001"], "Ray Client addresses are not supported"),
    "malformed address": (["train", "smoke", "--address", "head"], "must be HOST:PORT"),
    "malformed address to join": (["join", "head:port", "--token", "0" * 32], "join head:port: must be HOST:PORT"),
    "unknown template": (["template", "pbs.sh"], "template pbs.sh: must be one of kuberay-rayjob.yaml"),
    "corrupt checkpoint": (["train", "--resume", "corrupt", "train.steps=4"], "weights.safetensors"),
    "pickled checksums": (["train", "--resume", "pickled", "train.steps=4"], "checksums.json"),
    "pointer to elsewhere": (["train", "--resume", "pointless", "train.steps=4"], "names '../../elsewhere'"),
    "foreign checkpoint": (
        ["train", "smoke", "--resume", "good", "model.latent=8", "train.batch_size=16"],
        "model.latent 16 there, 8 here; train.batch_size 32 there, 16 here",
    ),
    "checkpoint of another microbatch size": (
        ["train", "smoke", "--resume", "good", "train.microbatch_size=16"],
        "good: from another run (train.microbatch_size 8 there, 16 here); give the same settings, or start a new run",
    ),
    "checkpoint of another thread count": (
        ["train", "smoke", "--resume", "good", "train.threads=2"],
        "good: from another run (train.threads 1 there, 2 here); give the same settings, or start a new run",
    ),
    "bitwise with ddp": (
        ["train", "smoke", "train.reproducibility=bitwise", "train.reducer=ddp"],
        "train.reproducibility 'bitwise': not with train.reducer 'ddp'; use train.reducer=tree, or",
    ),
    "bitwise on GPUs": (
        ["train", "smoke", "train.reproducibility=bitwise", "train.device=cuda"],
        "train.reproducibility 'bitwise': not with train.device 'cuda'; use train.device=cpu, or",
    ),
    "tree on GPUs": (["train", "smoke", "train.reducer=tree", "train.device=cuda"], "train.reducer 'tree': for CPUs"),
    "unknown reducer": (["train", "smoke", "train.reducer=ring"], "'ring': must be 'auto', 'tree' or 'ddp'"),
    "weights of another model": (
        ["train", "smoke", "--init-from", "good", "model.latent=8", "model.dropout=0.1"],
        "--init-from good: weights of another model (model.dropout 0.0 there, 0.1 here; model.latent 16 there, 8 here)",
    ),
    "weights of another family": (
        ["train", "vae-emoji", "--init-from", "good"],
        "model.family 'dcgan' there, 'vae' here",
    ),
    "no weights to start from": (["train", "smoke", "--init-from", "empty"], "holds no run"),
    "no bf16": (["train", "smoke", "--no-ray", "train.device=cuda"], "train.device 'cuda': no CUDA GPU on"),
    "prepare nothing": (["prepare", "nowhere", "out", "--size", "64"], "SOURCE 'nowhere': no such"),
    "prepare over something": (["prepare", "single", "pack16", "--size", "64"], "pack16"),
    "prepare giants": (["prepare", "single", "out", "--size", "4096"], "--size 4096: out of range"),
    "generate from nothing": (["generate", "empty"], "holds no run"),
    "generate none": (["generate", "good", "--count", "0"], "--count 0: must be between"),
    "generate into a text": (["generate", "good", "--out", "x.txt"], "--out x.txt: must end in .png"),
    "generate where nobody may": (["generate", "good", "--out", "a-file/x.png"], "cannot be written"),
    "status of nothing": (["status", "empty"], "holds no run"),
    "stop of nothing": (["stop", "good"], "nothing is running there (it finished)"),
    "verify nothing": (["verify", "empty"], "empty"),
    "inspect nothing": (["inspect", "nowhere"], "nowhere"),
    "inspect into no picture": (["inspect", "pack16", "--out", "x.gif"], "--out x.gif: must end in .png"),
    "merge one": (["merge", "pack16", "x"], "merge pack16 x: give two packs or more, and then the name of"),
    "merge with a wrong word": (["merge", "pack16", "y", "x", "--drop-duplicates", "all"], "one of none, exact"),
    "split off everything": (["split", "pack16", "x", "--at", "0"], "--at 0: must be between 0 and 1"),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_bad_input(row, place):
    arguments, message = ROWS[row]
    before = listing(place)
    done = gen_dist(*arguments, cwd=place, RAY_ADDRESS="", XDG_STATE_HOME=str(place / "state"))
    assert done.code == 2, done
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1, done.err
    assert "Traceback" not in done.out + done.err
    assert listing(place) == before


def listing(folder: Path) -> list[str]:
    """What is there but for empty `runs` and lock files, which say nothing."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.name not in ("runs", "lock", "log.txt"))


def test_an_address_without_a_cluster(place):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = gen_dist("train", "smoke", "--address", f"127.0.0.1:{port}", cwd=place)
    assert done.code == 2
    assert "refused; is the Ray head node running there?" in done.err


def test_a_dry_run_shows_the_plan_and_starts_nothing(place):
    before = listing(place)
    done = gen_dist("train", "smoke", "--dry-run", "--workers", "2", "cluster.shares=[3,1]", cwd=place)
    assert done.code == 0
    for line in (
        "generator: 18,928 parameters",
        "= 4 microbatches of 8",
        "rank 0: microbatches 0 to 2, 24 images a step",
    ):
        assert line in done.out
    assert listing(place) == before


def test_other_commands_work(place):
    assert "smoke" in gen_dist("configs", cwd=place).out
    assert "torch 2" in gen_dist("version", cwd=place).out
    assert gen_dist("verify", "pack16", cwd=place).code == 0
    assert "finished" in gen_dist("status", "good", cwd=place).out
    made = gen_dist("generate", "good", "--count", 5, "--out", "grid.png", "--seed", 3, cwd=place)
    assert made.code == 0, made.err
    first = (place / "grid.png").read_bytes()
    gen_dist("generate", "good", "--count", 5, "--out", "grid.png", "--seed", 3, cwd=place)
    assert (place / "grid.png").read_bytes() == first
    gen_dist("generate", "good", "--count", 5, "--out", "grid.png", "--seed", 3, "--raw", cwd=place)
    assert (place / "grid.png").read_bytes() != first
    state = json.loads((place / "good" / "checkpoints" / "step-00000002" / "state.json").read_text())
    assert state["step"] == 2
