"""The benchmark of the kernels: that it works, compares outputs rightly, and judges what it measured."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.kernel_inputs import keras_matrix
from benchmarks.kernel_rows import ROWS, Agreement, Peer, Row, Way
from benchmarks.kernel_table import CACHE, MEMORY, Measured, good, tables, verdict
from benchmarks.kernels import parse_options
from benchmarks.peer_process import PeerFailed, PeerProcess
from benchmarks.peers.install import ENVIRONMENTS, PROJECT
from benchmarks.peers.with_torch import to_theta

ROOT = Path(__file__).parents[2]
PIXELS = Agreement(1.0, 0.5, unit=1.0)


def measured(ours: list[float], theirs: list[float], at_least: float | None = 2.0) -> Measured:
    peer = Peer(Way("them", PROJECT, "x.y"), at_least, PIXELS)
    row = Row("row", "work", lambda a, b: None, Way("ours", PROJECT, "x.z"), (peer,), 100.0)
    copies = {MEMORY: [1e6], CACHE: [1e7]}
    return Measured(row, ours, {"them": theirs} if theirs else {}, copies, {"them": (1.0, 0.25)})


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    command = [sys.executable, "-m", "benchmarks.kernels", "--quick", "--rows", "uniform", "--peers", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| uniform")]
    assert [line.split("|")[2].strip() for line in lines[:2]] == ["NumPy Philox", "torch"]
    assert "**" in lines[0]
    assert lines[2].count("%") == 2


def test_every_row_names_what_exists() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)
    for row in ROWS:
        for way in (row.ours, *(peer.way for peer in row.peers)):
            assert way.environment in {PROJECT, *ENVIRONMENTS}
            for function in filter(None, (way.function, way.compared)):
                module, _, name = function.partition(".")
                assert f"\ndef {name}(" in (ROOT / "benchmarks" / "peers" / f"{module}.py").read_text()


def test_differences_are_in_grey_levels() -> None:
    ours = np.zeros((2, 4, 4, 3), np.float32)
    theirs = ours + np.float32(2 / 255)
    assert Agreement(1.0, 1.0).difference(ours, theirs) == pytest.approx((1.0, 1.0))


def test_a_mirror_image_is_as_good_only_where_it_may_be() -> None:
    ours = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    theirs = ours.copy()
    theirs[1] = theirs[1, :, ::-1]
    assert Agreement(0.0, 0.0, "mirrored", 1.0).admits(Agreement(0.0, 0.0, "mirrored", 1.0).difference(ours, theirs))
    assert not PIXELS.admits(PIXELS.difference(ours, theirs))
    assert Agreement(0.0, 0.0, "moments", 1.0).difference(ours, theirs)[0] < 1e-4


@pytest.mark.parametrize("shape", [(2, 4, 4, 1), (0, 4, 4, 3)])
def test_outputs_that_cannot_be_compared_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SystemExit, match="outputs of shapes"):
        PIXELS.difference(np.zeros((2, 4, 4, 3)), np.zeros(shape))


def test_ratios_are_of_medians_and_of_neighbours() -> None:
    row = measured([10.0, 40.0, 30.0], [10.0, 10.0, 60.0])
    [line] = row.peer_lines()
    assert "**3.00** (0.50..4.00)" in line
    assert "2 ×" in line
    assert row.bound_line()[2:] == ["30", "10,000", "0.3%", "100,000", "0.0%"]


def test_the_verdict_counts_what_was_wanted() -> None:
    met, missed = measured([4.0], [1.0]), measured([1.0], [1.0])
    missing = measured([4.0], [])
    missing.missing["them"] = "no environment"
    assert good(met, met.row.peers[0])
    assert good(measured([1.0], [9.0], None), measured([1.0], [9.0], None).row.peers[0])
    said = verdict([met, missed, missing, measured([1.0], [9.0], None)])
    assert said.splitlines() == ["1 of 3 targets met, 1 not measured.", "MISSED row: 1.00 of 2 × them"]
    assert "not measured: no environment" in tables([missing])
    assert "2 ×: MISSED" in tables([missed])


def test_a_process_that_ends_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(PeerFailed, match="no attribute 'nobody'"),
        PeerProcess(Path(sys.executable), "with_numpy.nobody", tmp_path, [0]) as process,
    ):
        process.output(tmp_path / "out.npy")


def test_torch_is_given_the_same_map() -> None:
    """A point of the output, by the matrix in pixels and by theta in [-1, 1]."""
    matrix = keras_matrix(7.0, 3.0, -2.0, 0.1, 0.95, 1.05)
    [theta] = to_theta(matrix[None], np.array([False]))
    row, column = 10.0, 50.0
    x, y = theta @ [column / 31.5 - 1, row / 31.5 - 1, 1]
    np.testing.assert_allclose([(y + 1) * 31.5, (x + 1) * 31.5], matrix @ [row, column, 1], atol=1e-4)
    [mirrored] = to_theta(matrix[None], np.array([True]))
    np.testing.assert_allclose(mirrored @ [1 - column / 31.5, row / 31.5 - 1, 1], [x, y], atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--repeats", "0"], "--repeats 0: must be at least 1"),
        (["--rows", "gathr"], "invalid choice"),
        (["--peers", "/nowhere"], "python -m benchmarks.peers.install"),
    ],
)
def test_bad_options_are_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    with pytest.raises(SystemExit):
        parse_options(arguments)
    assert complaint in capsys.readouterr().err
