"""The benchmark of the reducers: that it works, refuses wrong answers, and judges what it measured rightly."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reduce import Model, measure_links, parse_options, prepare
from benchmarks.reduce_table import Row, table, verdict
from benchmarks.reduce_worker import DDP, LATE, TREE
from tests.hosts import available

ROOT = Path(__file__).parents[2]
LOSSES = [{"loss": 2.0}, {"loss": 1.0}]


class FakeGroup:
    """Two ranks that answer what they are given."""

    def __init__(self, *answers: dict[str, tuple[str, list[dict[str, float]]]]) -> None:
        self.answers = [
            {"reducers": {name: {"hash": hash, "losses": losses} for name, (hash, losses) in answer.items()},
             "gradient_bytes": 100}
            for answer in answers
        ]  # fmt: skip

    def ask(self, question: str, **fields: Any) -> list[Any]:
        return self.answers


def outcomes(tree: str = "a" * 64, late: str = "a" * 64, loss: float = 2.0) -> dict[str, Any]:
    return {DDP: ("b" * 64, [{"loss": loss}, {"loss": 1.1}]), TREE: (tree, LOSSES), LATE: (late, LOSSES)}


def prepared(*answers: dict[str, Any]) -> Any:
    return prepare(FakeGroup(*answers), Model("vae-64", [], ""), [DDP, TREE, LATE], "a" * 64)  # type: ignore[arg-type]


def row(link: str, tree: list[float], ddp: list[float], workers: int = 2) -> Row:
    times = {DDP: ddp, TREE: tree, LATE: tree}
    return Row("vae-64", workers, link, times, times, {DDP: 1e6, TREE: 2e6, LATE: 2e6})


@pytest.mark.slow
def test_it_runs() -> None:
    command = [sys.executable, "-m", "benchmarks.reduce", "--quick", "--links", "loopback", "100"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    alone, loopback, shaped = (line for line in done.stdout.splitlines() if line.startswith("| dcgan-64 |"))
    assert alone.startswith("| dcgan-64 | 1 | – |")
    assert loopback.startswith("| dcgan-64 | 2 | loopback |")
    assert loopback.count("..") == 5
    ddp, tree = (float(cell) for cell in loopback.split("|")[-3:-1])
    assert ddp == tree > 0  # a tree among two sends as much as a ring
    assert shaped.startswith("| dcgan-64 | 2 | 100 Mbit/s |")
    assert ("not measured" in shaped) == (available() is not None)


def test_the_same_answers_pass() -> None:
    assert prepared(outcomes(), outcomes()).ring_bytes == 100


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ((outcomes(), outcomes(loss=2.0001)), "the ranks differ under ddp"),
        ((outcomes(tree="c" * 64),) * 2, "tree gives another state than one worker"),
        ((outcomes(late="c" * 64),) * 2, "late gives another state than one worker"),
        ((outcomes(loss=2.01),) * 2, "ddp's losses differ from tree's by 5.0e-03"),
        ((outcomes(loss=float("nan")),) * 2, "ddp's losses differ from tree's by nan"),
    ],
)
def test_wrong_answers_are_not_timed(answers: tuple[dict[str, Any], ...], complaint: str) -> None:
    with pytest.raises(SystemExit, match=complaint):
        prepared(*answers)


def test_the_verdict_is_that_of_the_worst_median() -> None:
    good, bad = row("loopback", [1.0, 1.0, 9.0], [1.0, 1.0, 1.0]), row("100 Mbit/s", [1.1, 1.2, 1.3], [1.0, 1.0, 1.0])
    alone = Row("vae-64", 1, "–", {"plain": [1.0], TREE: [2.0]}, {}, {})
    assert "1.000 (vae-64, 2 workers, loopback): within" in verdict([good, alone])
    assert "1.200 (vae-64, 2 workers, 100 Mbit/s): MORE" in verdict([good, bad, alone])
    assert verdict([alone]) == "Nothing was compared with ddp."


def test_a_ratio_is_of_turns_side_by_side() -> None:
    [line] = table([row("loopback", [1.0, 10.0, 100.0], [2.0, 10.0, 25.0])]).splitlines()[2:]
    assert "**1.000 (0.500..4.000)**" in line
    assert "| 1.0 | 2.0 |" in line


def test_where_there_are_no_hosts_the_rows_say_why() -> None:
    rows = measure_links("needs root", Model("vae-64", [], ""), 4, [1000.0, 100.0], "", None)  # type: ignore[arg-type]
    lines = table([*rows, row("loopback", [1.0], [1.0])]).splitlines()
    assert lines[2].startswith("| vae-64 | 4 | 1000 Mbit/s | not measured: needs root |")
    assert {line.count("|") for line in lines} == {11}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--repeats", "0"], "--repeats 0: must be at least 1"),
        (["--links", "loopback", "0"], "--links loopback 0 Mbit/s: a rate must be above 0"),
        (["--links", "fast"], "invalid"),
        (["--workers", "5"], "invalid choice: 5"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit) as refusal:
        parse_options(tmp_path, arguments)
    assert refusal.value.code == 2
    assert complaint in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
