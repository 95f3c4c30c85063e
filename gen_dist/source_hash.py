"""Which source code a process runs: every node must run the same."""

import hashlib
from pathlib import Path

import gen_dist


def source_hash() -> str:
    """SHA-256 over the names and bytes of all Python files of the installed gen_dist package."""
    root = Path(gen_dist.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(p for p in walk(root) if p.suffix == ".py"):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def walk(folder: Path) -> list[Path]:
    """All files below `folder`, through the links to kernels, cluster and launch of a source checkout."""
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            found += walk(path)
        else:
            found.append(path)
    return found
