"""Files that are safetensors by their form, and that torch cannot read."""

import json


def hostile_tensors() -> list[bytes]:
    """A type that torch does not have, and sizes that nothing has."""
    return [file_of("F8_E8M0", [1], 1), file_of("F32", [0, 2**63]), file_of("F32", [0, 2**62, 2])]


def file_of(dtype: str, shape: list[int], length: int = 0) -> bytes:
    """A file of one tensor with so many bytes."""
    about = {"tensor": {"dtype": dtype, "shape": shape, "data_offsets": [0, length]}}
    text = json.dumps(about).encode()
    return len(text).to_bytes(8, "little") + text + bytes(length)
