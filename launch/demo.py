"""`make demo`: a VAE, then a DCGAN, on the bundled pictures with two workers; ends with where to look."""

import subprocess
import sys
from pathlib import Path

from gen_dist.record.run_folder import RunFolder, default_run_path

PRESETS = ("vae-emoji", "dcgan-emoji")


def main() -> int:
    runs = {preset: default_run_path("runs", f"demo-{preset}") for preset in PRESETS}
    for preset, path in runs.items():
        command = ["train", preset, "--workers", "2", "--run-dir", str(path), "train.device=cpu"]
        print(f"\n$ gen-dist {' '.join(command)}", flush=True)
        code = subprocess.run([sys.executable, "-m", "gen_dist.launch.cli", *command], check=False).returncode
        if code:
            return code
    for preset, path in runs.items():
        print(f"\n{preset}")
        for label, place in places(path):
            print(f"  {label:20} {place}")
    return 0


def places(path: Path) -> list[tuple[str, Path]]:
    """What to look at in a finished run, by name."""
    RunFolder.open(path)
    found = [("run folder", path)]
    for label, pattern in (
        ("sample grid", "samples/*.png"),
        ("reconstruction grid", "reconstructions/*.png"),
        ("W&B run", "wandb/*run-*"),
    ):
        found += [(label, match) for match in sorted(path.glob(pattern))[-1:]]
    return found


if __name__ == "__main__":
    sys.exit(main())
