"""Makes the environments of the benchmarks' peers: `python -m benchmarks.peers.install [FOLDER]`.

One virtual environment each where dependencies clash (Pillow and Pillow-SIMD are the same import) or are nobody's
business here (OpenCV, SciPy, pandas). What is there already, and made from the same lines, is kept. An environment that
cannot be made is named, and the benchmark then says so beside each of its rows.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT, PHOTOGRAPHS = "project", "photographs"
OPENCV = "opencv-python-headless==5.0.0.93"
PHOTOGRAPHS_FROM = "scikit-image==0.26.0"  # its wheel holds them; it is unpacked, never installed
CONSTRAINTS = ["-c", str(ROOT / "constraints.txt")]


@dataclass(frozen=True)
class Environment:
    """`installs`: arguments of `pip install`, one call after the other. `needs`: Debian packages to build it."""

    installs: tuple[tuple[str, ...], ...]
    needs: str = ""
    pillow_simd: bool = False


FFCV_NEEDS = ("setuptools", "numpy", "numba", "torch", "pillow", "psutil", "pandas", OPENCV, "tqdm==4.70.1",
              "fastargs==1.2.0", "terminaltables==3.1.10")  # fmt: skip
ENVIRONMENTS = {
    "pillow": Environment((("pillow", "numpy"),)),
    "pillow-simd": Environment(
        (("numpy", "simplejpeg"),), "gcc python3-dev libjpeg-dev zlib1g-dev libwebp-dev", pillow_simd=True
    ),
    "opencv": Environment(((OPENCV, "numpy", "simplejpeg"),)),
    "keras": Environment((("keras-preprocessing==1.1.2", "scipy==1.17.1", "pillow", "numba", "numpy"),)),
    "albumentations": Environment((("albumentations==2.0.8", OPENCV, "scipy==1.17.1", "numpy"),)),
    "torch": Environment((("torch", "pillow", "numpy"),)),
    "pythae": Environment((("torch", "numpy"), ("pythae==0.1.2",))),
    "fidelity": Environment((("torch", "pillow", "numpy"), ("torch-fidelity==0.4.0",))),
    "ffcv": Environment(
        (FFCV_NEEDS, ("--no-deps", "--no-build-isolation", "ffcv==1.0.2")),
        "g++ pkg-config python3-dev libopencv-dev libturbojpeg0-dev",
    ),
}


def default_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gen-dist" / "peers"


def python_of(folder: Path, environment: str) -> Path | None:
    """The Python of an environment in `folder`; None where it has not been made."""
    if environment == PROJECT:
        return Path(sys.executable)
    return folder / environment / "bin" / "python" if (folder / environment / "made").exists() else None


def make(folder: Path, name: str, environment: Environment) -> None:
    """Raises CalledProcessError where a part of it cannot be installed; then there is no environment."""
    target = folder / name
    recipe = f"{sys.version}\n{environment}\n{(ROOT / 'constraints.txt').read_text()}"
    made = target / "made"
    if made.exists() and made.read_text() == recipe:
        return
    print(f"{name}: making it", flush=True)
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", target], check=True)
    python = str(target / "bin" / "python")
    for arguments in environment.installs:
        subprocess.run([python, "-m", "pip", "install", "-qq", *CONSTRAINTS, *arguments], check=True)
    if environment.pillow_simd:
        command = [python, str(ROOT / "build_tools" / "pillow.py")]  # as the project builds it: with AVX2, no cache
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        if done.stdout.strip() != "pillow-simd":
            raise subprocess.CalledProcessError(1, command)
    made.write_text(recipe)


def unpack_photographs(folder: Path) -> None:
    target = folder / PHOTOGRAPHS
    if target.exists():
        return
    print(f"{PHOTOGRAPHS}: unpacking them", flush=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        command = ["download", "-qq", "--no-deps", "--only-binary", ":all:", PHOTOGRAPHS_FROM, "-d", temporary]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
        [wheel] = Path(temporary).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            inside = [name for name in archive.namelist() if name.startswith("skimage/data/")]
            archive.extractall(temporary, inside)
        (Path(temporary) / "skimage" / "data").rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the environments of the kernels' peers.")
    parser.add_argument("folder", nargs="?", type=Path, default=default_folder(), help="default: %(default)s")
    parser.add_argument("--only", choices=ENVIRONMENTS, metavar="NAME", help="make this one")
    parser.add_argument("--python", choices=ENVIRONMENTS, metavar="NAME", help="make nothing; say where its Python is")
    given = parser.parse_args()
    folder = given.folder.absolute()
    if given.python:
        print(python_of(folder, given.python) or sys.exit(f"{given.python}: not made yet in {folder}"))
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not given.only:
        unpack_photographs(folder)
    for name, environment in ENVIRONMENTS.items():
        if given.only not in (None, name):
            continue
        try:
            make(folder, name, environment)
        except subprocess.CalledProcessError as error:
            hint = f"; it needs: apt-get install {environment.needs}" if environment.needs else ""
            print(f"{name}: cannot be made ({error}){hint}", flush=True)


if __name__ == "__main__":
    main()
