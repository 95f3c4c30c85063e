"""`meta.json` of a pack: what it may say, and reading it without trusting it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gen_dist.errors import UserError

VERSION: Literal[2] = 2
META = "meta.json"
FIRST_PARTS = ("images-00000.npy", "jpegs-00000.npy")

Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1, le=65535)]
Channels = Annotated[int, Field(ge=1, le=4)]
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Setting = str | int | float | bool | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Part(_Strict):
    """One file of images, how many images it holds, and how many bytes they take."""

    file: Annotated[str, Field(pattern=r"^(images|jpegs)-[0-9]{5,}\.npy$")]  # a plain name: nothing outside the folder
    images: Count
    bytes: Count


class Rejected(_Strict):
    """A file that gave no image, and why."""

    name: str
    reason: str


class Meta(_Strict):
    """The content of `meta.json`.

    content_hash: SHA-256 over the arrays' bytes, parts in order, then of JPEGs offsets and sizes, the labels last.
    index_hash: SHA-256 of index.jsonl. meta_hash: of all other fields, see `hash_of`.
    source_stamp: what `Source.stamp` said, "" for packs made of packs. settings: `data.size`, `data.prepare.*` and
    `data.decoding.*`, as far as they decided what is in the pack.
    """

    format: Literal["gen-dist pack"]
    version: Literal[2]
    images: Count
    kept: Literal["pixels", "jpeg"]
    shape: tuple[Side, Side, Channels]
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    content_hash: Hash
    index_hash: Hash
    meta_hash: Hash
    source: str
    source_stamp: str
    settings: dict[str, Setting]
    counts: dict[str, int]
    class_names: Annotated[tuple[str, ...], Field(min_length=1)] | None
    rejected: tuple[Rejected, ...]


class _Head(BaseModel, strict=True):
    """Enough of any version's `meta.json` to say which version it is."""

    format: Literal["gen-dist pack"]
    version: int


def read_meta(path: Path) -> Meta:
    """Of the pack in folder `path`. Raises UserError where there is none, or none that this version reads."""
    if not os.path.isfile(path / META):  # a pipe, say, would be waited for
        what = f"no file {META} in it" if os.path.isdir(path) else "no such folder"
        raise UserError(f"pack '{path}': {what}; make a pack with 'gen-dist prepare'")
    try:
        text = (path / META).read_bytes()
    except OSError as error:
        raise damaged(path, META, f"cannot read it: {error.strerror}") from error
    return parse_meta(path, text)


def parse_meta(path: Path, text: bytes) -> Meta:
    """Of the pack at `path`, `text` being what `meta.json` holds. Raises UserError if this version cannot read it."""
    try:
        head = _Head.model_validate_json(text)
        if head.version != VERSION:
            raise UserError(
                f"pack '{path}': {META}: pack version {head.version}, this gen-dist reads version {VERSION}; "
                "make the pack again with 'gen-dist prepare', or use the gen-dist that made it"
            )
        meta = Meta.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise damaged(path, META, f"{where}: {first['msg']}" if where else first["msg"]) from error
    _check_counts(path, meta)
    return meta


def _check_counts(path: Path, meta: Meta) -> None:
    if sum(part.images for part in meta.parts) != meta.images:
        raise damaged(path, META, f"the parts' images do not add up to {meta.images}")
    height, width, channels = meta.shape
    for part in meta.parts:
        if meta.kept == "pixels" and part.bytes != part.images * height * width * channels:
            raise damaged(path, META, f"{part.file}: {part.bytes} bytes are not {part.images} images")


def hash_of(meta: Meta) -> str:
    """SHA-256 in hex of all that it says, but for this hash itself."""
    fields = meta.model_dump(mode="json", exclude={"meta_hash"})
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode("ascii")).hexdigest()


def is_pack(folder: Path) -> bool:
    """Whether this is meant as a pack; whether it is a good one, Pack.open says."""
    if any(os.path.isfile(folder / name) for name in FIRST_PARTS):
        return True
    try:
        return os.path.isfile(folder / META) and b'"gen-dist pack"' in (folder / META).read_bytes()
    except OSError:
        return False


def damaged(path: Path, file: str, what: str) -> UserError:
    """The error for a pack whose `file` is wrong."""
    return UserError(f"pack '{path}': {file}: {' '.join(what.split())}; make the pack again with 'gen-dist prepare'")


def printable(name: str) -> str:
    """A file name as text that any file can hold: bytes that are not UTF-8 are shown as `\\xNN`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
