"""The arrows between the folders, read from the source: kernels <- gen_dist <- cluster <- launch."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("kernels", "cluster", "launch", "configs")  # imported as gen_dist.X
MAY_IMPORT = {
    "kernels": {"kernels"},
    "gen_dist": {"gen_dist", "kernels"},
    "cluster": {"gen_dist", "kernels", "cluster"},
    "launch": {"gen_dist", "kernels", "cluster", "launch"},
    "build_tools": set[str](),
}
FREE = ("tests", "benchmarks")  # may import anything of ours, but under the right name


def sources(folder: Path) -> Iterator[Path]:
    """Python files below `folder`, not through symlinks: each file is read once, where it stands."""
    for parent, _, files in os.walk(folder):
        yield from (Path(parent, file) for file in sorted(files) if file.endswith(".py"))


def imports(node: ast.AST, at_import_time: bool = True) -> Iterator[tuple[int, str, bool]]:
    """(line, dotted name, whether it runs when the module is imported) of every import below `node`."""
    if isinstance(node, ast.Import):
        yield from ((node.lineno, alias.name, at_import_time) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        prefix = "." * node.level + (node.module or "")
        yield from ((node.lineno, f"{prefix}.{alias.name}", at_import_time) for alias in node.names)
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in ("import_module", "__import__"):
            yield node.lineno, str(node.args[0].value), at_import_time
    inside = at_import_time and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from imports(child, inside)


def layer(name: str) -> str | None:
    """The folder of ours that a dotted name is in, or None for other people's modules."""
    first, second, *_ = [*name.split("."), "", ""]
    if first != "gen_dist":
        return None
    return second if second in FOLDERS else "gen_dist"


def complaint(folder: str, name: str, at_import_time: bool) -> str | None:
    """What is wrong with a file in `folder` importing `name`."""
    package = name.split(".")[0]
    if name.startswith("."):
        return f"relative import {name}"
    if package in FOLDERS:
        return f"{name} lacks the prefix gen_dist"
    if folder in FREE:
        return None
    target = layer(name)
    if target is not None and target not in MAY_IMPORT[folder]:
        return f"{folder} may not import {name}"
    if package == "ray" and folder != "cluster":
        return f"{name}: only cluster imports ray"
    if package == "wandb" and at_import_time:
        return f"{name}: wandb is imported inside the function that needs it"
    if folder == "kernels" and package in ("torch", "ray", "wandb", "PIL"):
        return f"{name}: kernels need nothing but Numba and NumPy"
    return None


def violations(root: Path) -> list[str]:
    found = []
    for folder in (*MAY_IMPORT, *FREE):
        for file in sources(root / folder):
            for line, name, at_import_time in imports(ast.parse(file.read_text("utf-8"))):
                if text := complaint(folder, name, at_import_time):
                    found.append(f"{file.relative_to(root)}:{line}: {text}")
    return found


def test_every_import_follows_the_arrows() -> None:
    for folder in MAY_IMPORT:
        assert any(sources(ROOT / folder)), f"no source in {folder}: the test looks in the wrong place"
    assert violations(ROOT) == []


OFFENCES = [
    ("kernels/a.py", "from gen_dist.errors import UserError", "kernels may not import gen_dist.errors.UserError"),
    ("kernels/a.py", "import gen_dist", "kernels may not import gen_dist"),
    ("kernels/a.py", "def f():\n    from gen_dist.cluster import worker", "kernels may not import gen_dist.cluster"),
    ("kernels/a.py", "import torch", "kernels need nothing but"),
    ("gen_dist/a.py", "from gen_dist.cluster.worker import W", "gen_dist may not import gen_dist.cluster.worker.W"),
    ("gen_dist/a.py", "from gen_dist import launch", "gen_dist may not import gen_dist.launch"),
    ("gen_dist/data/a.py", "import gen_dist.launch.cli as c", "gen_dist may not import gen_dist.launch.cli"),
    (
        "gen_dist/a.py",
        "import importlib\nimportlib.import_module('gen_dist.cluster')",
        "may not import gen_dist.cluster",
    ),
    ("gen_dist/a.py", "import ray", "only cluster imports ray"),
    ("gen_dist/a.py", "def f():\n    import ray.util", "only cluster imports ray"),
    ("gen_dist/a.py", "try:\n    import wandb\nexcept ImportError:\n    pass", "inside the function"),
    ("gen_dist/a.py", "class A:\n    import wandb", "inside the function"),
    ("cluster/a.py", "from gen_dist.launch.cli import main", "cluster may not import gen_dist.launch.cli.main"),
    ("launch/a.py", "def f():\n    import ray", "only cluster imports ray"),
    ("gen_dist/a.py", "from kernels.philox import fill", "kernels.philox.fill lacks the prefix"),
    ("tests/unit/test_a.py", "import launch.cli", "launch.cli lacks the prefix"),
    ("benchmarks/a.py", "def f():\n    from cluster import worker", "cluster.worker lacks the prefix"),
    ("gen_dist/a.py", "from . import errors", "relative import"),
    ("build_tools/a.py", "from gen_dist.errors import UserError", "build_tools may not import"),
]
ALLOWED = [
    ("kernels/a.py", "import numba\nfrom gen_dist.kernels.jit import kernel"),
    ("gen_dist/a.py", "from gen_dist.kernels.philox import fill\nfrom gen_dist.errors import UserError"),
    ("gen_dist/a.py", "def f():\n    import wandb\n    return wandb"),
    ("cluster/a.py", "import ray\nfrom gen_dist.config import RunConfig\nfrom gen_dist.kernels import jit"),
    ("launch/a.py", "from gen_dist.cluster.supervisor import run\nfrom gen_dist import config"),
    ("tests/unit/test_a.py", "import ray\nfrom gen_dist.launch import cli"),
]


def tree_with(root: Path, path: str, source: str) -> Path:
    (root / path).parent.mkdir(parents=True)
    (root / path).write_text(source)
    return root


@pytest.mark.parametrize(("path", "source", "expected"), OFFENCES)
def test_an_offending_import_is_reported_with_its_file_and_line(
    tmp_path: Path, path: str, source: str, expected: str
) -> None:
    (found,) = violations(tree_with(tmp_path, path, source))
    assert found.startswith(f"{path}:")
    assert expected in found


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_a_rightful_import_is_not_reported(tmp_path: Path, path: str, source: str) -> None:
    assert violations(tree_with(tmp_path, path, source)) == []


def test_symlinked_folders_are_judged_as_what_they_are(tmp_path: Path) -> None:
    tree_with(tmp_path, "cluster/a.py", "import ray")
    (tmp_path / "gen_dist").mkdir()
    (tmp_path / "gen_dist/cluster").symlink_to("../cluster")
    assert violations(tmp_path) == []
