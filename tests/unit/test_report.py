"""Reports: which curves, which command repeats a run, and that nothing from a run becomes markup."""

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gen_dist.config import flatten
from gen_dist.errors import UserError
from gen_dist.presets import load_config, preset_names
from gen_dist.record.event_log import Happening, append_event, read_events
from gen_dist.record.run_folder import RunFolder
from gen_dist.report.curves import charts
from gen_dist.report.facts import how_to_repeat, read_run, read_runs
from gen_dist.report.write import write_report

ROW = {
    "train/discriminator_loss": 1.5, "train/generator_loss": 0.5, "train/real_score": 0.9, "train/fake_score": 0.1,
    "train/gradient_norm_generator": 3.0, "train/learning_rate_generator": 2e-4, "perf/images_per_second": 100.0,
    "perf/step_seconds": 0.1, "perf/data_wait_fraction": 0.25, "time": {"generator": {"forward": [0.1]}},
    "state_hash": "ab",
}  # fmt: skip
HOSTILE = "<script>alert(1)</script>|`x`\n# [a](javascript:b)"


def run_at(path: Path, rows: int = 5, **changes: object) -> Path:
    config = load_config("smoke", ["data.path=bundled:emoji", "seed=7"]).model_dump()
    folder = RunFolder.create(path, config | changes, {"preset": "smoke"})
    folder.set_status("finished", step=rows, steps=20)
    lines = [json.dumps({"step": step, **ROW}) + "\n" for step in range(1, rows + 1)]
    (path / "metrics.jsonl").write_text("".join(lines))
    (path / "samples").mkdir(exist_ok=True)
    for step in range(1, 7):
        pixels = np.full((40, 60, 3), 20 * step, np.uint8)
        Image.fromarray(pixels).save(path / "samples" / f"step-{step:08d}.png")
    folder.unlock()
    return path


class Page(HTMLParser):
    """Which elements and attributes there are."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "xlink:href")]


def page_of(out: Path) -> Page:
    return Page(out.read_text())


def test_a_page_has_curves_pictures_and_the_command_and_needs_nothing_else(tmp_path):
    run = run_at(tmp_path / "run")
    append_event(run, Happening(3, "rank 1 on laptop: the process died"))
    assert write_report([run], tmp_path / "report.html") == []
    page, text = page_of(tmp_path / "report.html"), (tmp_path / "report.html").read_text()
    assert page.tags.count("svg") == 6  # game, scores, gradient, rate, images/s, waiting
    assert page.tags.count("img") == 4 + 1  # of six pictures four, and an animation
    assert all(link.startswith("data:image/") for link in page.links)
    assert "script" not in page.tags
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    assert text.count("rank 1 on laptop: the process died") == 6 + 1  # on each curve, and in the table
    assert "gen-dist train smoke seed=7" in text
    assert "<h2>Samples of the same latents</h2>" in text


def test_several_runs_share_their_curves(tmp_path):
    runs = [run_at(tmp_path / name / "run", rows) for name, rows in (("a", 3), ("b", 6))]
    assert [run.name for run in read_runs(runs)] == ["a/run", "b/run"]
    found = {chart.title: chart for chart in charts(read_runs(runs))}
    assert [line.name for line in found["images per second"].lines] == ["a/run", "b/run"]
    names = [line.name for line in found["loss in the game"].lines]
    assert names == [
        f"{run}: {loss}" for run in ("a/run", "b/run") for loss in ("discriminator loss", "generator loss")
    ]
    write_report(runs, tmp_path / "report.html")
    assert page_of(tmp_path / "report.html").tags.count("h3") == 2 * 4  # samples, animations, settings, commands
    with pytest.raises(UserError, match="given twice"):
        read_runs([runs[0], runs[0]])


@pytest.mark.parametrize("ending", ["html", "md"])
def test_nothing_from_a_run_becomes_markup(ending, tmp_path):
    run = run_at(tmp_path / "run", data=load_config("smoke").data.model_dump() | {"path": HOSTILE})
    append_event(run, Happening(2, HOSTILE))
    evaluation = {"step": 1, "weights": "raw", "seed": 0, "data": HOSTILE, "held_out": True, "images": 1, "parts": 1,
                  "left_out": {HOSTILE: HOSTILE}, "notes": [HOSTILE], "scores": {}}  # fmt: skip
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    out = tmp_path / f"report.{ending}"
    write_report([run], out)
    if ending == "html":
        assert "script" not in page_of(out).tags
    else:
        lines = out.read_text().splitlines()
        outside = [line for line in lines if not line.startswith("    ")]  # code is taken as it is
        assert not any("<script" in line for line in outside)
        assert not any(re.search(r"(?<!\\)\]\(javascript|^# \[", line) for line in outside)


def test_markdown_refers_to_files_that_are_there(tmp_path):
    write_report([run_at(tmp_path / "run")], tmp_path / "pull.md")
    text = (tmp_path / "pull.md").read_text()
    named = re.findall(r"\]\(([^)]+)\)", text)
    assert sorted(named) == sorted(f"pull-files/{path.name}" for path in (tmp_path / "pull-files").iterdir())
    assert len(named) == 6 + 1 + 1
    assert (tmp_path / "pull-files" / "curve-0.svg").read_text().startswith("<svg")
    write_report([run_at(tmp_path / "short", rows=0)], tmp_path / "pull.md")
    assert not (tmp_path / "pull-files" / "curve-0.svg").exists()


def test_damaged_pictures_and_lines_are_left_out_and_told(tmp_path):
    run = run_at(tmp_path / "run")
    picture = run / "samples" / "step-00000006.png"
    picture.write_bytes(picture.read_bytes()[:60])
    (run / "events.jsonl").write_bytes(b'{"step": 1, "text": "whole"}\n{"step": 2, "te')
    notes = write_report([run], tmp_path / "report.html")
    assert [str(picture) in note for note in notes] == [True, True]
    assert page_of(tmp_path / "report.html").tags.count("img") == 3
    assert read_events(run) == [Happening(1, "whole")]


@pytest.mark.parametrize("preset", preset_names())
def test_the_command_makes_the_same_configuration(preset):
    changes = ["train.steps=123", "seed=9", "data.path=my photos; $x", "train.learning_rate=3e-5"]
    config = load_config(preset, [change for change in changes if change.split("=")[0] in flatten(
        load_config(preset).model_dump())])  # fmt: skip
    _, command = how_to_repeat(config, Path("run"))
    program, verb, name, *settings = shlex.split(command)
    assert (program, verb, name) == ("gen-dist", "train", preset)
    assert flatten(load_config(name, settings).model_dump()) == flatten(config.model_dump())


def test_a_configuration_of_ones_own_is_repeated_from_the_run(tmp_path):
    run = run_at(tmp_path / "a run", preset="mine")
    assert read_run(run).repeat == f"gen-dist train '{run}/config.yaml'"


@pytest.mark.parametrize("file", ["metrics.jsonl", "config.yaml", "evaluation.json", "status.json"])
def test_damaged_runs_are_refused(file, tmp_path):
    run = run_at(tmp_path / "run")
    (run / file).write_bytes(b'nothing: [\n{"step": 1}\n')
    with pytest.raises(UserError) as refused:
        write_report([run], tmp_path / "report.html")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "report.html").exists()
