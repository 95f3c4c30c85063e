"""Quality at equal compute time: `python -m benchmarks.quality` makes every cell that is not there, then the tables
of docs/recipes.md.

It can be stopped at any time and goes on with the cell where it was. Two cells run at once, on one core each.
"""

import argparse
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.peers.install import default_folder
from benchmarks.quality.cells import PYTHAE, SEEDS, TABLES, Cell, cells
from benchmarks.quality.data import prepare_data
from benchmarks.quality.timing import ROOT, Prices, price_systems

RESULTS = ROOT / "benchmarks" / "results" / "quality"
PAGE = ROOT / "docs" / "recipes.md"
PRICES = "prices.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare recipes at equal compute time.")
    parser.add_argument(
        "--data", type=Path, default=Path("data"), help="folder with olivetti-faces.tar, cifar10-train.tar"
    )
    parser.add_argument("--packs", type=Path, default=Path("runs/quality"), help="where prepared packs are kept")
    parser.add_argument("--peers", type=Path, default=default_folder(), help="as given to benchmarks.peers.install")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="append", choices=TABLES, help="only these")
    parser.add_argument("--system", action="append", help="only these")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--at-once", type=int, default=2, help="cells, on a core each")
    parser.add_argument("--cell", nargs=3, metavar=("TABLE", "SYSTEM", "SEED"), help="make this one, here")
    given = parser.parse_args()
    prices = given.results / PRICES
    if given.cell:
        make(Cell(given.cell[0], given.cell[1], int(given.cell[2])), given, json.loads(prices.read_text()))
        return
    known = price_systems(given.data, given.packs, given.peers, prices)
    chosen = cells(given.table, given.system, tuple(given.seeds))
    wanted = [cell for cell in chosen if not is_made(cell, known, given.results)]
    for name in {TABLES[cell.table].data for cell in wanted}:
        prepare_data(name, given.data, given.packs)
    with ThreadPoolExecutor(given.at_once) as pool:
        failed = [name for name in pool.map(lambda cell: make_apart(cell, given), wanted) if name]
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
    from benchmarks.quality.page import describe, write_page

    print("\n\n".join(describe(name, given.results, PAGE) for name in given.table or TABLES))
    if given.results == RESULTS:
        write_page(RESULTS, PAGE)


def is_made(cell: Cell, prices: Prices, results: Path) -> bool:
    """Whether its file is there, and of the same settings."""
    path = results / f"{cell.name}.json"
    costs = prices[f"{cell.table}/{cell.system}"]
    return path.exists() and json.loads(path.read_text()).get("settings") == cell.settings(costs)


def make_apart(cell: Cell, given: argparse.Namespace) -> str | None:
    """In a process of its own. Returns the cell's name if it failed."""
    print(f"{cell.name}: begun", flush=True)
    folders = [f"--{name}={getattr(given, name)}" for name in ("data", "packs", "peers", "results")]
    command = [sys.executable, "-m", "benchmarks.quality", *folders, "--cell", cell.table, cell.system, str(cell.seed)]
    done = subprocess.run(command, cwd=ROOT)
    print(f"{cell.name}: {'done' if done.returncode == 0 else 'failed'}", flush=True)
    return cell.name if done.returncode else None


def make(cell: Cell, given: argparse.Namespace, prices: Prices) -> None:
    from benchmarks.quality.cell import run_cell, run_pythae_cell

    data = prepare_data(TABLES[cell.table].data, given.data, given.packs)
    price = prices[f"{cell.table}/{cell.system}"]
    if cell.system == PYTHAE:
        run_pythae_cell(cell, data, price, given.peers, given.results)
    else:
        run_cell(cell, data, price, given.results)


if __name__ == "__main__":
    main()
