"""What each phase of each system costs here: timed side by side, turn by turn, in processes of one thread."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.peers.install import python_of
from benchmarks.quality.cells import PYTHAE, TABLES
from benchmarks.quality.data import prepare_data
from benchmarks.quality.train import Costs, time_phases
from gen_dist.atomic import write_atomic
from gen_dist.data.pack import Pack

TURNS, STEPS = 5, 34  # so many steps have every phase at least twice
PYTHAE_SECONDS = 10.0
ROOT = Path(__file__).parents[2]
IMAGES = "images.npy"


def time_systems(archives: Path, folder: Path, peers: Path, path: Path) -> None:
    """Write `{table/system: {phase: core seconds}}` to `path`: medians over the turns."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for turn in range(TURNS):
        for name, table in TABLES.items():
            prepare_data(table.data, archives, folder)
            for system in table.systems:
                costs = (
                    time_pythae(folder / table.data, peers) if system == PYTHAE else time_apart(name, system, folder)
                )
                for phase, seconds in costs.items():
                    found[f"{name}/{system}"][phase].append(seconds)
                print(f"turn {turn + 1} of {TURNS}: {name}/{system} {costs}", flush=True)
    medians = {key: {phase: statistics.median(s) for phase, s in one.items()} for key, one in found.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(medians, indent=1) + "\n").encode())


def time_apart(table: str, system: str, folder: Path) -> Costs:
    """In a process of its own, so that none finds caches or memory that another left."""
    command = [sys.executable, "-m", "benchmarks.quality.timing", table, system, str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def time_pythae(data: Path, peers: Path) -> Costs:
    with tempfile.TemporaryDirectory() as out:
        facts = run_pythae(data, peers, 0, ["--seconds", str(PYTHAE_SECONDS)], Path(out))
    return {"step": facts["core_seconds"] / facts["steps"]}


def run_pythae(data: Path, peers: Path, seed: int, how_long: list[str], out: Path) -> dict[str, float]:
    """Let Pythae train in its own environment; its weights are then in `out`. Returns its facts."""
    python = python_of(peers, PYTHAE)
    if python is None:
        raise SystemExit(f"pythae: no environment in {peers}; run python -m benchmarks.peers.install {peers}")
    if not (data / IMAGES).exists():
        pack = Pack.open(data / "train")
        np.save(data / IMAGES, pack.read(np.arange(len(pack))))
    command = [str(python), "-m", "benchmarks.quality.with_pythae", str(data / IMAGES), str(seed), str(out), *how_long]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads((out / "facts.json").read_text())


def main() -> None:
    name, system, folder = sys.argv[1:]
    table = TABLES[name]
    print(json.dumps(time_phases(table.systems[system], Path(folder) / table.data / "train", STEPS)))


if __name__ == "__main__":
    main()
