"""What each phase of each system costs: timed side by side, turn by turn, in processes of one thread.

Prices stay what they are once they are known, so that cells made on different days had the same time. What is timed
later is timed beside the `YARDSTICK`, and priced as if the machine were as fast as it was on the first day.
"""

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

TURNS, TRIAL_SECONDS = 3, 10.0
YARDSTICK = "faces/dcgan-64"
ROOT = Path(__file__).parents[2]
IMAGES = "images.npy"

Prices = dict[str, Costs]  # of "table/system"


def price_systems(archives: Path, folder: Path, peers: Path, path: Path) -> Prices:
    """The prices in `path`, after those that are missing have been added."""
    known: Prices = json.loads(path.read_text()) if path.exists() else {}
    missing = [f"{name}/{system}" for name, table in TABLES.items() for system in table.systems]
    missing = [key for key in missing if key not in known]
    if not missing:
        return known
    for key in missing:
        prepare_data(TABLES[key.partition("/")[0]].data, archives, folder)
    found = time_systems(list(dict.fromkeys([YARDSTICK, *missing])), folder, peers)
    scale = total(known[YARDSTICK]) / total(found[YARDSTICK]) if YARDSTICK in known else 1.0
    added = {key: {phase: scale * seconds for phase, seconds in found[key].items()} for key in missing}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(known | added, indent=1) + "\n").encode())
    return known | added


def total(costs: Costs) -> float:
    return sum(costs.values())


def time_systems(keys: list[str], folder: Path, peers: Path) -> Prices:
    """Medians over the turns."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for turn in range(TURNS):
        for key in keys:
            name, _, system = key.partition("/")
            data = folder / TABLES[name].data
            costs = time_pythae(data, peers) if system == PYTHAE else time_apart(name, system, folder)
            for phase, seconds in costs.items():
                found[key][phase].append(seconds)
            print(f"turn {turn + 1} of {TURNS}: {key} {costs}", flush=True)
    return {key: {phase: statistics.median(s) for phase, s in one.items()} for key, one in found.items()}


def time_apart(table: str, system: str, folder: Path) -> Costs:
    """In a process of its own, so that none finds caches or memory that another left."""
    command = [sys.executable, "-m", "benchmarks.quality.timing", table, system, str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def time_pythae(data: Path, peers: Path) -> Costs:
    with tempfile.TemporaryDirectory() as out:
        facts = run_pythae(data, peers, 0, ["--seconds", str(TRIAL_SECONDS)], Path(out))
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
    print(json.dumps(time_phases(table.systems[system], Path(folder) / table.data / "train", TRIAL_SECONDS)))


if __name__ == "__main__":
    main()
