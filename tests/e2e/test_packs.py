"""The commands that look at packs and make packs of packs, as a user meets them."""

import json
from pathlib import Path

from tests.command import gen_dist
from tests.conftest import write_pack
from tests.packs import flip


def test_split_merge_inspect_and_verify(tmp_path: Path) -> None:
    write_pack(tmp_path / "pack", images=37)
    split = gen_dist("split", "pack", "parts", "--at", "0.7", cwd=tmp_path)
    assert split.code == 0, split.err
    assert [line.partition(":")[0] for line in split.out.splitlines()] == ["parts/train", "parts/held-out"]
    merged = gen_dist(
        "merge", "parts/train", "parts/held-out", "pack", "all", "--drop-duplicates", "exact", cwd=tmp_path
    )
    assert merged.out == "all: 37 images of 3 packs, 37 exact duplicates left out\n", merged.err
    inspected = gen_dist("inspect", "all", "--json", cwd=tmp_path)
    found = json.loads(inspected.out)
    assert (found["images"], found["left_out"]) == (37, {"exact": 37, "near": 0})
    assert (tmp_path / "all-contact-sheet.png").stat().st_size > 0
    flip(tmp_path / "all" / "images-00000.npy", -1)
    verified = gen_dist("verify", "all", cwd=tmp_path)
    assert (verified.code, verified.err) == (1, "")
    assert verified.out.splitlines()[1].startswith("  image 36: held-out/image ")
