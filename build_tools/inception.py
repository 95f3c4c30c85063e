"""Make the file that `gen-dist evaluate --inception` takes out of the Inception weights that FID is computed with.

    python build_tools/inception.py pt_inception-2015-12-05-6726825d.pth inception.safetensors

Others offer those weights as a pickle, under this name (pytorch-fid) or as weights-inception-2015-12-05-6726825d.pth
(torch-fidelity). It is read as tensors alone; a file of another checksum is refused.
"""

import hashlib
import io
import os
import sys
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import save

CHECKSUM = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # SHA-256; its beginning is in the name
UNUSED = ("fc.weight", "fc.bias")  # of the classes, and counts of batches


def fail(text: str) -> int:
    print(f"inception: {text}", file=sys.stderr)
    return 2


def wanted(name: str) -> bool:
    return name not in UNUSED and not name.endswith(".num_batches_tracked")


def convert(source: Path, target: Path, checksum: str = CHECKSUM) -> int:
    """Returns the exit code; prints one line."""
    part = target.with_name(target.name + ".part")
    try:
        content = source.read_bytes()
        found = hashlib.sha256(content).hexdigest()
        if checksum not in (found, ""):
            return fail(f"'{source}': its SHA-256 is {found}, not {checksum}; download the file again")
        tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        kept = {name: tensor.float().contiguous() for name, tensor in tensors.items() if wanted(name)}
        part.write_bytes(save(kept))
        os.replace(part, target)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        return fail(f"'{error.filename or target}': {error.strerror}; name another file")
    print(f"{target}: {len(kept)} tensors, {target.stat().st_size:,} bytes")
    return 0


def main() -> int:
    if len(sys.argv) != 3:
        return fail("give the weights file, and the .safetensors file to write")
    return convert(Path(sys.argv[1]), Path(sys.argv[2]))


if __name__ == "__main__":
    sys.exit(main())
