"""Packaging. The top-level folders are installed under the one import name `gen_dist`, through the symlinks in it."""

import os
import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

HERE = Path(__file__).parent


def version() -> str:
    """`__version__` as written in the source: importing it could need what is about to be installed."""
    found = re.search(r'^__version__ = "(.+)"$', (HERE / "gen_dist/__init__.py").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError('gen_dist/__init__.py: no line __version__ = "..."')
    return found[1]


def pillow() -> list[str]:
    """Pillow-SIMD and Pillow install the same files, so exactly one of them may be required.

    GEN_DIST_PILLOW=pillow|pillow-simd names the one that is installed already. build_tools/pillow.py sets it where
    Pillow-SIMD cannot be built; an environment marker cannot know whether a compiler and headers are there.
    """
    chosen = os.environ.get("GEN_DIST_PILLOW", "")
    if chosen not in ("", "pillow", "pillow-simd"):
        raise ValueError(f"GEN_DIST_PILLOW={chosen!r}: give 'pillow' or 'pillow-simd', or leave it unset")
    if chosen:
        return [f"{chosen}>=11"]
    fast = 'platform_system == "Linux" and platform_machine == "x86_64"'
    slow = 'platform_system != "Linux" or platform_machine != "x86_64"'
    return [f"pillow-simd>=11; {fast}", f"pillow>=11; {slow}"]


setup(
    name="gen-dist-train",
    version=version(),
    description="Train VAEs and DCGANs on your own images, data-parallel over Ray",
    long_description=(HERE / "README.md").read_text("utf-8") if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    packages=find_namespace_packages(include=["gen_dist", "gen_dist.*"]),
    package_data={
        "gen_dist.configs": ["*.yaml"],
        "gen_dist.data": ["bundled/*/*"],
        "gen_dist.explorer.page": ["*.css", "*.html", "*.js"],
        "gen_dist.launch.templates": ["*.sh", "*.yaml"],
    },
    include_package_data=False,
    entry_points={"console_scripts": ["gen-dist = gen_dist.launch.cli:main"]},
    install_requires=[
        "numba>=0.60",
        "numpy>=2.0",
        "pooch>=1.8",
        "psutil>=5.9",
        "pydantic>=2.7",
        "PyYAML>=6.0",
        "ray>=2.52",
        "requests>=2.31",
        "rich>=13",
        "safetensors>=0.4.5",
        "simplejpeg>=1.8",
        "torch>=2.9",
        "typer>=0.15",
        "wandb>=0.19",
        *pillow(),
    ],
    extras_require={
        "bench": [  # what Ray Train imports, the peer of benchmarks.launch
            "pandas>=2.2",
            "pyarrow>=17",
        ],
        "dev": [
            "av>=18",
            "axe-playwright-python>=0.1",
            "hypothesis>=6.100",
            "mypy>=1.15",
            "onnx>=1.17",
            "onnxruntime>=1.20",
            "onnxscript>=0.3",
            "playwright>=1.49",
            "plotly>=6",
            "pytest>=8.3",
            "pytest-cov>=6",
            "pytest-xdist>=3.6",
            "ruff>=0.9",
            "scipy>=1.14",
            "setuptools>=77",
            "starlette>=0.41",
            "torchmetrics>=1.6",
            "types-PyYAML",
            "uvicorn>=0.32",
        ],
        "explore": [
            "starlette>=0.41",
            "uvicorn>=0.32",
        ],
        "export": [
            "onnx>=1.17",
            "onnxruntime>=1.20",
            "onnxscript>=0.3",
        ],
        "plots": [
            "plotly>=6",
        ],
        "video": [
            "av>=18",
        ],
    },
)
