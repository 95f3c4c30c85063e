"""A worker's whole run on each kind of pack: what it sends is what the recorder can keep."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from gen_dist.assignment import Assignment
from gen_dist.checkpointing import read_facts
from gen_dist.data.pack import Pack
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.probe import probe_hash
from gen_dist.engine.state import State
from gen_dist.events import CheckpointReady, HealthWarning, Pictures, StepDone
from gen_dist.kernels import warm_up as warming
from gen_dist.objectives.build import build_objective
from gen_dist.record.pictures import image_grid, save_png
from gen_dist.reporting import Reporter, Step
from gen_dist.showing import sample_images
from gen_dist.training import train
from gen_dist.vital_signs import VitalSigns
from tests.training_cases import PACKS, case, engine_of, pack_of


@pytest.mark.parametrize("name", PACKS)
def test_steps_pictures_and_checkpoints(name, packs, tmp_path, monkeypatch):
    path, config = pack_of(name, packs), case(name, ["train.steps=3", "train.log_every=1"])
    channels, warmed, sent = Pack.open(path).shape[2], [], []
    monkeypatch.setattr("gen_dist.training.warm_up", lambda *parts: warmed.append(parts) or warming.warm_up(*parts))
    assignment = Assignment(config, path, 0, Ownership.equal(config.train.microbatches, 1))
    assert train(assignment, sent.append) == 3
    assert warmed == [("training", "decoding") if "jpeg" in PACKS[name] else ("training",)]
    assert [event.step for event in sent if isinstance(event, StepDone)] == [1, 2, 3]
    pictures = {event.kind: event for event in sent if isinstance(event, Pictures)}
    assert pictures["samples"].images.shape == (64, 16, 16, channels)
    save_png(tmp_path / "grid.png", image_grid(pictures["samples"].images, 8))
    with Image.open(io.BytesIO((tmp_path / "grid.png").read_bytes())) as image:
        assert image.mode == {1: "L", 3: "RGB"}[channels]
    if name.startswith("vae"):
        rows, pack = pictures["reconstructions"].images, Pack.open(path)
        originals = {image.tobytes() for image in pack.read(np.arange(len(pack)))}
        assert {image.tobytes() for image in rows[:8]} <= originals
    [checkpoint] = [event for event in sent if isinstance(event, CheckpointReady)]
    assert read_facts(checkpoint.files)["channels"] == channels
    objective = build_objective(config)
    state = State.create(config, channels, objective.shown, torch.device("cpu"))
    state.load_files(checkpoint.files)  # as `gen-dist generate` does
    assert sample_images(objective, state.modules, 0, 2, torch.device("cpu")).shape == (2, 16, 16, channels)


@pytest.mark.parametrize("channels", [1, 3])
def test_probes_of_both_numbers_of_channels(channels):
    name = "dcgan-gray-parts-of-jpegs"
    assert probe_hash(case(name), channels) == probe_hash(case(name), channels) != probe_hash(case(name), 4 - channels)


def test_health_is_measured_with_the_pictures_and_wherever_the_run_was_cut(packs, monkeypatch):
    """The run stops after step 3, where pictures are made but none are due, and goes on from there."""
    monkeypatch.setattr("gen_dist.health.LEAST_PATIENCE", 1)
    monkeypatch.setattr("gen_dist.health.FEW_UNITS", 99)  # all there are, at each step
    monkeypatch.setattr("gen_dist.health.FEW_SHARE", 2)
    path = pack_of("vae", packs)
    config = case("vae", ["train.steps=7", "train.log_every=5", "train.sample_every=2", "objective.free_bits=0"])
    ownership = Ownership.equal(config.train.microbatches, 1)

    def events(most_pictures=99, resume=None):
        sent = []
        assignment = Assignment(config, path, 0, ownership, resume)
        train(assignment, sent.append, lambda: sum(isinstance(event, Pictures) for event in sent) >= most_pictures)
        return sent

    def figures(*parts):
        return {event.step: event.health for sent in parts for event in sent if isinstance(event, StepDone)}

    whole, first = events(), events(most_pictures=2)
    pictured = [event.step for event in first if isinstance(event, Pictures) and event.kind == "samples"]
    assert pictured == [2, 3]
    [checkpoint] = [event.files for event in first if isinstance(event, CheckpointReady)]
    rest = events(resume=checkpoint)
    found = figures(whole)
    assert {step: set(health) for step, health in found.items()} == {
        1: set(), 2: set(names := {"sample_distance", "nearest_sample", "active_units"}), 4: names, 5: set(), 6: names,
        7: names,
    }  # fmt: skip
    assert figures(first, rest) == found
    assert [event.step for event in whole if isinstance(event, HealthWarning)] == [6]
    assert [event.title for event in rest if isinstance(event, HealthWarning)] == []  # too short to be sure


def test_r1_is_recorded_though_the_steps_that_have_it_are_not_those_that_are_due(packs):
    overrides = ["train.steps=20", "train.log_every=6", "train.hash_every=20", "objective.r1_every=4"]
    path, config, sent = pack_of("dcgan-hinge", packs), case("dcgan-hinge", overrides), []
    assert train(Assignment(config, path, 0, Ownership.equal(config.train.microbatches, 1)), sent.append) == 20
    found = {event.step: "r1" in event.losses for event in sent if isinstance(event, StepDone)}
    assert found == {1: True, 6: False, 9: True, 12: False, 13: True, 18: False, 20: False}


def test_ranks_that_do_not_report_measure_nothing(tiny_pack, monkeypatch):
    measured = []
    monkeypatch.setattr(VitalSigns, "measure", lambda *_: measured.append(1) or {})
    config = case("vae", ["train.sample_every=1"])
    engine = engine_of(config, tiny_pack)
    report = engine.step()
    for reports in (False, True):
        reporter = Reporter(engine, config, Pack.open(tiny_pack), lambda event: None)
        reporter.reports = reports
        reporter.step_done(Step(1, report, False, None))
    engine.loader.close()
    assert measured == [1]
