"""What pip sees: the symlinks, the requirements, their pins, and what is inside a wheel."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FOLDERS = ("kernels", "cluster", "launch", "configs")
PILLOWS = ("pillow", "pillow-simd")


def setup_keywords(**environment: str) -> dict:
    """What setup.py hands to setuptools, without building anything."""
    script = "import json, runpy, setuptools\nsetuptools.setup = lambda **all: print(json.dumps(all))\n"
    script += "runpy.run_path('setup.py')"
    clean = {name: value for name, value in os.environ.items() if name != "GEN_DIST_PILLOW"}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=clean | environment, capture_output=True, text=True, check=True
    )
    keywords = ast.literal_eval(run.stdout.replace("false", "False").replace("true", "True"))
    assert isinstance(keywords, dict)
    return keywords


@pytest.fixture(scope="module")
def requirements() -> list[Requirement]:
    """Every direct requirement, the extras' too."""
    keywords = setup_keywords()
    lines = [*keywords["install_requires"], *(line for extra in keywords["extras_require"].values() for line in extra)]
    return [Requirement(line) for line in lines]


@pytest.fixture(scope="module")
def pins() -> dict[str, Version]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"]
    return {canonicalize_name(name): Version(version) for name, version in (line.split("==") for line in lines)}


@pytest.mark.parametrize("folder", FOLDERS)
def test_symlinks_are_relative_and_the_folders_are_namespaces(folder: str) -> None:
    assert os.readlink(ROOT / "gen_dist" / folder) == f"../{folder}"
    assert not (ROOT / folder / "__init__.py").exists()


def test_every_direct_requirement_is_pinned_and_its_range_admits_the_pin(
    requirements: list[Requirement], pins: dict[str, Version]
) -> None:
    for requirement in requirements:
        pin = pins[canonicalize_name(requirement.name)]
        assert pin in requirement.specifier, f"{requirement} does not admit {pin}"
        assert len(requirement.specifier) == 1 or requirement.name == "types-PyYAML", f"{requirement}: no range"
    assert pins["torch"] == Version("2.13.0")


def test_nothing_is_pinned_that_nobody_asks_for(requirements: list[Requirement], pins: dict[str, Version]) -> None:
    build = {"pip", "pybind11", "setuptools"}
    assert set(pins) == {canonicalize_name(requirement.name) for requirement in requirements} | build


def test_what_is_installed_is_what_is_pinned(pins: dict[str, Version]) -> None:
    for name in ("numpy", "numba", "torch", "ray", "wandb", "pydantic"):
        assert Version(metadata.version(name)).public == str(pins[name])


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [("Linux", "x86_64", "pillow-simd"), ("Linux", "aarch64", "pillow"), ("Darwin", "x86_64", "pillow")],
)
def test_each_platform_requires_exactly_one_pillow(
    requirements: list[Requirement], system: str, machine: str, expected: str
) -> None:
    platform = {"platform_system": system, "platform_machine": machine}
    wanted = [
        each.name for each in requirements if each.name in PILLOWS and each.marker and each.marker.evaluate(platform)
    ]
    assert wanted == [expected]


@pytest.mark.parametrize("name", PILLOWS)
def test_the_installer_may_choose_the_pillow(name: str) -> None:
    required = [Requirement(line) for line in setup_keywords(GEN_DIST_PILLOW=name)["install_requires"]]
    assert [(each.name, each.marker) for each in required if each.name in PILLOWS] == [(name, None)]


def test_exactly_one_pillow_is_installed() -> None:
    """Both install the folder PIL; the later one would overwrite half of the other."""
    names = [canonicalize_name(each.metadata["Name"]) for each in metadata.distributions()]
    assert sum(name in PILLOWS for name in names) == 1


def test_no_dependency_requires_pillow() -> None:
    """It would be installed on top of Pillow-SIMD. Followed from our requirements through all that is installed."""
    waiting = [Requirement(line).name for line in setup_keywords()["install_requires"]]
    seen: set[str] = set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen or name in PILLOWS:
            continue
        seen.add(name)
        for line in metadata.distribution(name).requires or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                assert canonicalize_name(needed.name) not in PILLOWS, f"{name} requires {needed}"
                waiting.append(needed.name)
    assert {"torch", "ray", "wandb", "numba"} < seen


def third_party_imports() -> set[str]:
    """Top-level names that the library imports anywhere, other than Python's and ours."""
    names = set()
    for folder in ("gen_dist", *FOLDERS):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    names |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"gen_dist"}


def test_what_the_library_imports_is_required() -> None:
    distribution = {"yaml": "PyYAML", "PIL": "pillow", "llvmlite": "numba"}  # llvmlite is pinned by numba
    keywords = setup_keywords()
    extras = (line for name in ("explore", "export", "plots", "video") for line in keywords["extras_require"][name])
    lines = [*keywords["install_requires"], *extras]
    required = {canonicalize_name(Requirement(line).name) for line in lines}
    assert {canonicalize_name(distribution.get(name, name)) for name in third_party_imports()} <= required


def test_the_version_is_the_package_s() -> None:
    import gen_dist

    assert setup_keywords()["version"] == gen_dist.__version__


def expected_files() -> set[str]:
    """All that a wheel must hold of the library: every source, preset, template and page, and the bundled pictures."""
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "gen_dist").rglob("*.py")}
    for folder in FOLDERS:
        paths = [path for kind in ("*.py", "*.sh", "*.yaml") for path in (ROOT / folder).rglob(kind)]
        files |= {f"gen_dist/{path.relative_to(ROOT)}" for path in paths}
    files |= {str(path.relative_to(ROOT)) for path in (ROOT / "gen_dist/explorer/page").iterdir()}
    bundled = (ROOT / "gen_dist/data/bundled").rglob("*")
    return files | {str(path.relative_to(ROOT)) for path in bundled if path.is_file() and path.suffix != ".pyc"}


def build(source: Path, kind: str, out: Path) -> Path:
    """Build a wheel or sdist as pip would, with the setuptools that is installed here."""
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (built,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


def wheel_content(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.mark.slow
def test_wheel_and_sdist_hold_the_whole_library_and_nothing_else(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(".*", "runs", "build", "*.egg-info"))
    wheel = build(tree, "wheel", tmp_path / "wheel")
    assert wheel_content(wheel) == expected_files()
    with zipfile.ZipFile(wheel) as archive:
        points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert re.search(r"^gen-dist = gen_dist\.launch\.cli:main$", archive.read(points).decode(), re.MULTILINE)

    sdist = build(tree, "sdist", tmp_path / "sdist")
    (tmp_path / "unpacked").mkdir()
    subprocess.run(["tar", "-xf", sdist, "-C", tmp_path / "unpacked"], check=True)
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert wheel_content(build(unpacked, "wheel", tmp_path / "again")) == expected_files()
