"""Bad input to `gen-dist prepare`, within this process: one printable line, exit code 2, nothing left behind."""

import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from gen_dist.launch.cli import run
from tests.source_files import idx, png, write_archives, write_classes

ESCAPE = "no\x1b[31m\nname"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the rows below name."""
    cwd = tmp_path_factory.mktemp("bad")
    write_archives(cwd, write_classes(cwd / "classes", images=2))
    for folder in ("empty", "texts", "one", "broken", "labels"):
        (cwd / folder).mkdir()
    (cwd / "texts" / "a.txt").write_text("hello")
    (cwd / "one" / "only.png").write_bytes(png(1))
    (cwd / "broken" / "bidi\u202e\x1b[2J\n.png").write_bytes(png(1)[:60])
    (cwd / "a-file").write_text("in the way")
    (cwd / "labels" / "train-images-idx3-ubyte").write_bytes(idx(np.zeros((20, 8, 8), np.uint8)))
    (cwd / "labels" / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(25, np.uint8)))
    data = bytearray((cwd / "classes.zip").read_bytes())
    (cwd / "cut.zip").write_bytes(data[: len(data) // 2])
    for mark, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(mark, at + 4)
    (cwd / "encrypted.zip").write_bytes(data)
    with zipfile.ZipFile(cwd / "elsewhere.zip", "w") as file:
        for name in ("../x.png", "/abs.png", "C:\\y.png"):
            file.writestr(name, png(3))
    np.save(cwd / "objects.npy", np.array([{}, 1], dtype=object), allow_pickle=True)
    np.savez(cwd / "no-images.npz", a=np.arange(5.0), b=np.array(["x"]))
    code, _ = command(cwd, ["prepare", "one", "pack", "--size", "16"])
    assert code == 0
    shutil.copytree(cwd / "pack", cwd / "headless")
    (cwd / "headless" / "meta.json").unlink()
    return cwd


def command(cwd: Path, arguments: list[str]) -> tuple[int, str]:
    """The exit code, and what is there afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["gen-dist", *arguments])
        return run(), listing(cwd)


def listing(folder: Path) -> str:
    return "\n".join(sorted(str(path) for path in folder.rglob("*")))


# SOURCE, OUT and options, and what is said. "--size 16" where no size is given.
ROWS = {
    "no source": (["nowhere", "x"], "SOURCE 'nowhere': no such file or folder; give a folder, zip"),
    "an empty name": (["", "x"], "SOURCE '': no such file or folder"),
    "a name that is an escape sequence": ([ESCAPE, "x"], r"SOURCE 'no\x1b[31m\nname': no such"),
    "another kind of file": (["a-file", "x"], "'a-file': not a file of a kind that is read"),
    "an empty folder": (["empty", "x"], "'empty': the folder is empty; give"),
    "texts": (["texts", "x"], "none of its 1 files is an image (a.txt: a text file"),
    "broken, and called so as to be obeyed": (["broken", "deep/er/x"], r"(bidi\u202e\x1b[2J\n.png: "),
    "a cut zip": (["cut.zip", "x"], "'cut.zip': its directory, which is the end of a zip, is missing"),
    "an encrypted zip": (["encrypted.zip", "x"], "none of its 4 files is a readable image (a/0.png: encrypted)"),
    "a zip of bad names": (["elsewhere.zip", "x"], "none of its 3 files is a readable image (../x.png: a name that"),
    "objects": (["objects.npy", "x"], "'objects.npy': an array of type |O; integers"),
    "no images": (["no-images.npz", "x"], "'no-images.npz': it is not clear which array holds the images"),
    "too many labels": (["labels", "x"], "25 labels of uint8 for 20 images"),
    "a pack": (["pack", "x"], "'pack': is a pack already: train on it, or give what it was made from"),
    "itself": (["pack", "pack"], "'pack': is a pack already"),
    "a pack without its meta.json": (["headless", "x"], "'headless': is a pack already"),
    "the source itself": (["one", "one"], "pack 'one': exists already; give another"),
    "no size": (["one", "x", "--size", "0"], "--size 0: out of range; give 8 to 1024"),
    "a great size": (["one", "x", "--size", "1025"], "--size 1025: out of range"),
    "a great size, before a download": (["mnist", "x", "--size", "4096"], "--size 4096: out of range"),
    "a place that is taken, before a download": (["mnist", "texts"], "pack 'texts': exists already"),
    "no crop": (["one", "x", "--crop", "middle"], "data.prepare.crop 'middle': must be center | pad (all of it"),
    "an empty box": (["one", "x", "--crop", "box:0,0,0,5"], "'box:0,0,0,5': an empty box"),
    "a box outside": (["one", "x", "--crop", "box:9,9,9,9"], "box: 9,9,9,9 is not within the image of 12×10 pixels"),
    "padded JPEGs": (["one", "x", "--crop", "pad", "--keep", "jpeg"], "not with images kept as JPEG"),
    "no colour": (["one", "x", "--background", "mauve"], "'mauve': must be white | black | gray | R,G,B"),
    "too bright": (["one", "x", "--background", "1,2,300"], "'1,2,300': give a name or R,G,B with numbers"),
    "no filter": (["one", "x", "--filter", "cubic"], "data.prepare.filter 'cubic': must be 'nearest', 'box'"),
    "no frames": (["one", "x", "--frames", "some"], "data.prepare.frames 'some': must be 'first' or 'all'"),
    "nothing to keep": (["one", "x", "--keep", "png"], "data.prepare.keep 'png': must be 'pixels' or 'jpeg'"),
    "no duplicates": (["one", "x", "--drop-duplicates", "all"], "'all': must be 'none', 'exact' or 'near'"),
    "no way out": (["one", "x", "--on-error", "ignore"], "data.prepare.on_error 'ignore': must be 'skip' or 'fail'"),
    "fail": (["broken", "x", "--on-error", "fail"], "mend or remove the file, or skip such files"),
    "split 0": (["classes", "x", "--split", "0"], "--split 0.0: must be between 0 and 1"),
    "split 1": (["classes", "x", "--split", "1"], "--split 1.0: must be between"),
    "split -1": (["classes", "x", "--split", "-1"], "--split -1.0: must be between"),
    "split nan": (["classes", "x", "--split", "nan"], "--split nan: must be between"),
    "by folder only": (["classes", "x", "--by-folder"], "--by-folder: says how to split; give --split too"),
    "one folder": (["one", "x", "--split", "0.5", "--by-folder"], "--split 0.5: leaves no image for 'held-out'"),
    "every and fps": (["one", "x", "--every", "2", "--fps", "3"], "every 2: not with data.prepare.fps 3; give one"),
    "fps 0": (["one", "x", "--fps", "0"], "data.prepare.fps 0.0: must be greater than 0"),
    "fps nan": (["one", "x", "--fps", "nan"], "data.prepare.fps 'nan': must be a valid number"),
    "every of a folder": (["one", "x", "--every", "2"], "every 2: chooses frames of a video, but 'one' is none"),
    "fps of a zip": (["classes.zip", "x", "--fps", "2.5"], "fps 2.5: chooses frames of a video, but 'classes.zip'"),
    "every 0": (["one", "x", "--every", "0"], "data.prepare.every 0: must be greater than or equal to 1"),
    "from, of a folder": (["one", "x", "--from", "empty"], "--from 'empty': only for a known name, one of mnist"),
    "from nowhere": (["mnist", "x", "--from", "nowhere"], "--from 'nowhere': no such folder; give the one that holds"),
    "from where it is not": (["mnist", "x", "--from", "empty"], "no train-images-idx3-ubyte.gz and train-labels"),
    "by hand": (["celeba", "x"], "get img_align_celeba.zip, see https://mmlab"),
    "by hand, and not there": (["stanford-cars", "x", "--from", "empty"], "no cars_train.tgz and cars_test.tgz (or"),
    "a file in the way": (["one", "a-file"], "pack 'a-file': exists already; give another name"),
    "a folder in the way": (["one", "texts"], "pack 'texts': exists already; give another name"),
    "below a file": (["one", "a-file/x"], "pack 'a-file/x': cannot write it: Not a directory"),
    "another pack": (["classes", "pack"], "pack 'pack': exists already, made from '"),
    "other settings": (["one", "pack", "--size", "32"], "pack 'pack': exists already, made with data.size=16"),
    "a pack where a split is wanted": (["one", "pack", "--split", "0.5"], "pack 'pack': exists already"),
    "workers 0": (["one", "x", "--workers", "0"], "--workers 0: must be 1 to 1024"),
    "very many workers": (["one", "x", "--workers", "100000"], "--workers 100000: must be 1 to 1024"),
    "a foreign key": (["one", "x", "train.steps=3"], "override 'train.steps=3': only data.decoding.* and"),
    "an escape sequence as key": (["one", "x", "data.prepare.\x1b[31m=1"], r"key 'data.prepare.\x1b[31m': unknown"),
    "an escape sequence as option": (["one", "x", "--\x1b[31m"], r"No such option: --\x1b[31m"),
    "no address": (["one", "x", "--address", "nonsense"], "--address nonsense: must be HOST:PORT"),
    "nobody at the address": (["one", "x", "--address", "127.0.0.1:1"], "--address 127.0.0.1:1: Connection refused"),
}


@pytest.mark.parametrize("row", ROWS)
def test_prepare_refuses(row: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, message = ROWS[row]
    before = listing(place)
    code, after = command(place, ["prepare", *arguments, *([] if "--size" in arguments else ["--size", "16"])])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("gen-dist: ")
    assert err.removesuffix("\n").isprintable(), err
    assert after == before


def test_inspect_takes_a_pack_without_its_meta_for_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = command(place, ["inspect", "headless"])
    assert code == 2
    assert "pack 'headless': no file meta.json in it; make" in capsys.readouterr().err
