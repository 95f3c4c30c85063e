"""Reads what W&B wrote offline, without W&B's help: wandb 0.31 has no reader in Python any more.

A `.wandb` file is LevelDB's log format: after a header of 7 bytes come blocks of 32 KiB; a record is checksum (CRC-32
of type and data), length (2 bytes), type (1 whole; 2, 3, 4 first, middle and last part), data. The data is protobuf.
"""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK = 32768
_HEAD = struct.Struct("<IHB")


def read_offline(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], list[Path]]:
    """The config, the rows of the history in order (with `_step`) and the media files of one offline run folder."""
    config: dict[str, Any] = {}
    rows = []
    for record in _records_of(folder):
        if record.HasField("run"):
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        if record.HasField("history"):
            items = record.history.item
            rows.append({".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items})
            rows[-1]["_step"] = record.history.step.num
    config.pop("_wandb", None)
    return config, rows, sorted(path for path in (folder / "files" / "media").rglob("*") if path.is_file())


def read_alerts(folder: Path) -> list[tuple[str, str, str]]:
    """(title, text, level) of the alerts of one offline run folder."""
    alerts = [record.alert for record in _records_of(folder) if record.HasField("alert")]
    return [(alert.title, alert.text, alert.level) for alert in alerts]


def _records_of(folder: Path) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    (log,) = folder.glob("*.wandb")
    return (wandb_internal_pb2.Record.FromString(data) for data in _records(log.read_bytes()))


def _records(data: bytes) -> Iterator[bytes]:
    assert data[:4] == b":W&B", "not a .wandb file"
    position, parts = 7, b""
    while position + _HEAD.size <= len(data):
        left = _BLOCK - position % _BLOCK
        if left < _HEAD.size:  # no record begins in the last bytes of a block
            position += left
            continue
        checksum, length, kind = _HEAD.unpack_from(data, position)
        position += _HEAD.size
        part = data[position : position + length]
        position += length
        assert zlib.crc32(part, zlib.crc32(bytes([kind]))) == checksum, f"damaged record before byte {position}"
        parts += part
        if kind in (1, 4):
            yield parts
            parts = b""
