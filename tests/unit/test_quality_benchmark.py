"""The quality benchmark: which cells there are, what a cell is charged, what the tables make of the cells' files."""

import json

import pytest

from benchmarks.quality import pythae_networks
from benchmarks.quality.__main__ import PAGE, RESULTS, is_made
from benchmarks.quality.cells import PYTHAE, TABLES, Cell, cells
from benchmarks.quality.page import END, begin, describe, write_page
from benchmarks.quality.train import Meter
from gen_dist.events import Where
from gen_dist.models.build import count_parameters
from gen_dist.presets import load_config


def test_every_seed_comes_for_all_systems_before_the_next():
    found = cells()
    assert len(found) == len(set(found)) == 3 * sum(len(table.systems) for table in TABLES.values())
    assert [cell.seed for cell in found] == sorted(cell.seed for cell in found)
    assert {cell.system for cell in cells(["faces"], ["dcgan-64"], (4,))} == {"dcgan-64"}


def test_a_cell_of_other_settings_is_made_again(tmp_path):
    cell, prices = Cell("faces", "dcgan-64", 0), {"faces/dcgan-64": {"generator": 1.0}}
    path = tmp_path / "faces" / "dcgan-64-0.json"
    path.parent.mkdir()
    assert not is_made(cell, prices, tmp_path)
    path.write_text(json.dumps({"settings": cell.settings(prices["faces/dcgan-64"])}))
    assert is_made(cell, prices, tmp_path)
    assert not is_made(cell, {"faces/dcgan-64": {"generator": 2.0}}, tmp_path)
    others = [Cell("faces", "dcgan-64", 1), Cell("faces", "sngan-small", 0), Cell("cifar", "dcgan-64", 0)]
    found = {one.settings({}) for one in [cell, *others]}
    assert len(found) == 4


def test_every_system_is_a_preset_with_overrides_that_it_accepts():
    for table in TABLES.values():
        assert table.ours in table.systems
        for name, system in table.systems.items():
            if name != PYTHAE:
                assert load_config(system.preset, system.overrides).preset == system.preset


def test_a_cell_is_charged_for_each_phase_that_was_committed():
    meter = Meter()
    for step, phase in ((1, "discriminator"), (1, "generator"), (2, "discriminator"), (3, "discriminator")):
        for stage in ("data", "compute", "optimise", "commit"):
            meter(Where(step, phase, stage))
    assert meter.charged({"discriminator": 2.0, "generator": 0.5}) == 6.5
    with pytest.raises(KeyError):
        meter.charged({"generator": 0.5})


def write(folder, system, seed, distance, floor=10.0):
    (folder / "faces").mkdir(exist_ok=True)
    scores = {"sliced_wasserstein": distance, "sliced_wasserstein_floor": floor, "nearest_train": 8.0,
              "nearest_held_out_to_train": 7.0}  # fmt: skip
    row = {"steps": 5, "images": 160, "scores": scores}
    (folder / "faces" / f"{system}-{seed}.json").write_text(json.dumps(row))


@pytest.mark.parametrize(("ours", "ratio", "outcome"), [(40.0, "0.500", "reached"), (60.0, "0.833", "missed")])
def test_ours_is_compared_with_the_better_of_the_others_above_the_floor(ours, ratio, outcome, tmp_path):
    for seed in range(3):
        write(tmp_path, "sngan-small", seed, ours)
        write(tmp_path, "gan-balanced64", seed, 90.0)
        write(tmp_path, "dcgan-64", seed, 70.0)
    text = describe("faces", tmp_path, tmp_path / "page.md")
    assert f"`sngan-small` / `dcgan-64`: **{ratio}**" in text
    assert f"wanted at most 0.6: {outcome}" in text
    assert "| training images | | | | 10 |  |\n| held-out images | | | |  | 7 |\n" in text


def test_without_all_systems_there_is_no_verdict(tmp_path):
    write(tmp_path, "sngan-small", 0, 40.0)
    assert "Not all systems have been measured." in describe("faces", tmp_path, tmp_path / "page.md")


def test_the_tables_stand_between_their_marks(tmp_path):
    write(tmp_path, "sngan-small", 0, 40.0)
    page = tmp_path / "docs" / "page.md"
    page.parent.mkdir()
    page.write_text("before")
    with pytest.raises(ValueError, match="0 times .*faces"):
        write_page(tmp_path, page)
    page.write_text("\n".join(["before", *(f"{begin(name)}\nold\n{END}\nwords" for name in TABLES)]))
    write_page(tmp_path, page)
    once = page.read_text()
    assert "old" not in once
    assert once.count("words") == len(TABLES)
    assert "![samples of sngan-small](../faces/sngan-small-0.png)" in once
    assert once.count("Nothing has been measured.") == len(TABLES) - 1
    write_page(tmp_path, page)
    assert page.read_text() == once


def test_the_page_says_what_the_cells_say():
    assert all(describe(name, RESULTS, PAGE) in PAGE.read_text() for name in TABLES)


def test_pythae_trains_the_networks_that_ours_has():
    system = TABLES["fashion-vae"].systems["vae-64-sharp"]
    ours = count_parameters(load_config(system.preset, system.overrides), channels=1)
    theirs = {"encoder": pythae_networks.Encoder(), "decoder": pythae_networks.Decoder()}
    assert {name: sum(p.numel() for p in network.parameters()) for name, network in theirs.items()} == ours
