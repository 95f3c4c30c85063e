"""Install Pillow-SIMD where it can be built, else Pillow, into the environment of the Python that runs this.

Prints the name of the one that is now installed, for GEN_DIST_PILLOW (see setup.py); all else goes to stderr.
Pillow-SIMD comes as source only: it needs a C compiler and the headers of Python, libjpeg and zlib, and those of
libwebp to read WebP.
"""

import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path

COMPILER = os.environ.get("CC", "cc")
PROBE = """
#include <Python.h>
#include <stdio.h>
#include <jpeglib.h>
#include <zlib.h>
int main(void) { return jpeg_std_error(0) == 0 || zlibVersion() == 0; }
"""
PACKAGES = "gcc python3-dev libjpeg-dev zlib1g-dev libwebp-dev"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def compiles(source: str, *libraries: str) -> bool:
    """Whether a C program compiles and links; it is not run."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "probe.c"
        file.write_text(source)
        include = [f"-I{sysconfig.get_path(name)}" for name in ("include", "platinclude")]
        command = [*COMPILER.split(), *include, str(file), "-o", f"{folder}/probe", *libraries]
        try:
            return subprocess.run(command, capture_output=True).returncode == 0
        except FileNotFoundError:
            return False


def has_avx2() -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and " avx2 " in cpu.read_text()


def pinned(name: str) -> str:
    """`name==version` from constraints.txt."""
    lines = (Path(__file__).parents[1] / "constraints.txt").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}=="))


def installed(name: str) -> str | None:
    try:
        return f"{name}=={metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return None


def install(name: str, other: str, *options: str, **environment: str) -> bool:
    """Install `name` and nothing else; `other` would share its files, so it goes first. Returns success."""
    if installed(name) == pinned(name) and installed(other) is None:
        return True
    pip = [sys.executable, "-m", "pip"]
    for old in filter(installed, (name, other)):
        subprocess.run([*pip, "uninstall", "--quiet", "--yes", old], check=True, stdout=sys.stderr)
    command = [*pip, "install", "-qq", "--no-deps", *options, pinned(name)]
    return subprocess.run(command, env=os.environ | environment, stdout=sys.stderr).returncode == 0


def install_fast() -> bool:
    """Build Pillow-SIMD for this CPU. No cache: a wheel with AVX2 code must not reach a machine without."""
    compiler = f"{COMPILER} -mavx2" if has_avx2() else COMPILER
    if not install("pillow-simd", "pillow", "--no-cache-dir", CC=compiler):
        return False
    if not compiles("#include <webp/decode.h>\nint main(void) { return WebPGetDecoderVersion() == 0; }", "-lwebp"):
        say("pillow-simd cannot read WebP here; for that: apt-get install libwebp-dev, then make clean install")
    return True


def main() -> None:
    if platform.system() == "Linux" and platform.machine() == "x86_64":
        if compiles(PROBE, "-ljpeg", "-lz") and install_fast():
            print("pillow-simd")
            return
        say(
            f"Pillow-SIMD cannot be built here, using plain Pillow; for the fast one: apt-get install {PACKAGES}, "
            "then make clean install"
        )
    if not install("pillow", "pillow-simd"):
        raise SystemExit("pip could not install pillow; see above")
    print("pillow")


if __name__ == "__main__":
    main()
