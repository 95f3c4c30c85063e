"""A pack that arrives in pieces: whole, or not at all, and never outside its folder."""

import errno
import filecmp
import os
import shutil
import socket
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gen_dist.cluster.receiving import (
    SLACK_BYTES,
    Abandonment,
    Announcement,
    Completion,
    PackReceiver,
    Piece,
    Progress,
    Standing,
)
from gen_dist.data.pack import Pack
from gen_dist.data.pack_bytes import Length, PackBytes
from gen_dist.errors import RunError, UserError
from tests.packs import flip, noise, pack_of

HOST = socket.gethostname()


class Sender:
    """The other side, for one pack."""

    def __init__(self, pack: Path, piece: int = 777) -> None:
        self.stream, self.piece, self.hash = PackBytes(pack), piece, Pack.open(pack).content_hash
        self.total = self.stream.layout.total
        self.announcement = Announcement(self.hash, self.stream.layout)

    def send(self, receiver: PackReceiver, first: int = 0, last: int | None = None, order: int = 1) -> Standing:
        """Bytes `first` … `last`, `order` pieces at a time back to front."""
        starts = list(range(first, self.total if last is None else last, self.piece))
        for group in range(0, len(starts), order):
            for start in reversed(starts[group : group + order]):
                stop = min(start + self.piece, self.total)
                standing = receiver.answer(Piece(start), self.stream.read(start, stop))
        return standing


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return pack_of(tmp_path / "pack", noise(40), classes=["a", "b"], labels=[0, 1] * 20, part_bytes=1000)


@pytest.fixture
def sender(pack: Path) -> Sender:
    return Sender(pack)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "shipped"


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("kind", ["colour", "jpeg", "jpeg gray", "labels"])
def test_a_pack_arrives_byte_for_byte(kind, order, packs, pack, root):
    original = pack if kind == "labels" else packs[kind]
    sender, receiver = Sender(original), PackReceiver(root)
    assert receiver.answer(sender.announcement) == Standing(Progress.WANTED, root / sender.hash)
    assert sender.send(receiver, order=order).position == sender.total
    assert receiver.answer(Completion()) == Standing(Progress.WHOLE, root / sender.hash, sender.total)
    files = sorted(os.listdir(original))
    assert filecmp.cmpfiles(original, root / sender.hash, files, shallow=False) == (files, [], [])
    assert sorted(os.listdir(root)) == [sender.hash, f"{sender.hash}.lock"]
    assert receiver.answer(sender.announcement) == Standing(Progress.WHOLE, root / sender.hash)


@pytest.mark.parametrize(
    "name", ["../images-00000.npy", "/tmp/images-00000.npy", "x/../images-00000.npy", "meta.json", "other.npy", ""]
)
def test_a_hostile_name_is_refused(name, sender, root):
    lengths = sender.stream.layout.lengths
    for hostile in ((Length(name, lengths[0].bytes), *lengths[1:]), (*lengths, Length(name, 10))):
        layout = replace(sender.stream.layout, lengths=hostile)
        with pytest.raises(UserError, match=f"data on {HOST}: .* meta.json: speaks of the files images-00000.npy, "):
            PackReceiver(root).answer(Announcement(sender.hash, layout))
    meta = sender.stream.layout.meta.replace(b'"images-00000.npy"', f'"{name}"'.encode())
    with pytest.raises(UserError, match=r"meta.json: parts.0.file: String should match pattern"):
        PackReceiver(root).answer(Announcement(sender.hash, replace(sender.stream.layout, meta=meta)))
    with pytest.raises(RunError, match="is no content hash"):
        PackReceiver(root).answer(Announcement(name, sender.stream.layout))
    assert not root.exists()


@pytest.mark.parametrize("change", [-1, -100_000, 100_000])
def test_a_length_that_cannot_be_is_refused(change, sender, root):
    first, *others = sender.stream.layout.lengths
    lengths = (Length(first.file, first.bytes + change - (127 if change == -1 else 0)), *others)
    with pytest.raises(UserError, match="images-00000.npy: has -?[0-9]+ bytes, 990 and a header are due"):
        PackReceiver(root).answer(Announcement(sender.hash, replace(sender.stream.layout, lengths=lengths)))


def partial_of(sender: Sender, root: Path) -> Path:
    """The folder in which a pack arrives."""
    receiver = PackReceiver(root)
    receiver.answer(sender.announcement)
    sender.send(receiver, 0, 2000)
    receiver.answer(Abandonment())
    (partial,) = root.glob(".*.partial")
    return partial


def test_links_lead_nowhere(sender, root, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    partial, receiver = partial_of(sender, root), PackReceiver(root)
    second = partial / "images-00001.npy"
    second.unlink()
    second.symlink_to(outside / "file")
    assert receiver.answer(sender.announcement).position == 0  # odd, so it is not gone on with
    sender.send(receiver, 0, 3000)
    receiver.answer(Abandonment())
    shutil.rmtree(partial)
    partial.symlink_to(outside)
    (root / sender.hash).symlink_to(outside)
    assert receiver.answer(sender.announcement).position == 0
    sender.send(receiver)
    assert receiver.answer(Completion()).progress is Progress.WHOLE
    assert not (root / sender.hash).is_symlink()
    shutil.rmtree(root / sender.hash)
    (root / f"{sender.hash}.lock").unlink()
    (root / f"{sender.hash}.lock").symlink_to(outside / "file")
    with pytest.raises(UserError, match="cannot keep a pack in '.*shipped': Too many levels of symbolic links; mend"):
        receiver.answer(sender.announcement)
    assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("file", "precious")]


def test_another_content_is_refused(sender, root, tmp_path):
    other = Sender(pack_of(tmp_path / "other", noise(40, seed=1), classes=["a", "b"], labels=[0, 1] * 20))
    receiver = PackReceiver(root)
    receiver.answer(Announcement(sender.hash, other.stream.layout))
    other.send(receiver)
    with pytest.raises(RunError, match=rf"data on {HOST}: what arrived is not .*: its content hash is {other.hash} in"):
        receiver.answer(Completion())
    assert os.listdir(root) == [f"{sender.hash}.lock"]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("images-00001.npy", "1 of 40 images are damaged"),
        ("labels.npy", "labels.npy: the content hash does not match"),
        ("checksums.npy", "checksums.npy: 1 checksums are wrong"),
        ("index.jsonl", "index.jsonl: does not match its hash"),
    ],
)
def test_damage_on_the_way_is_found(file, message, sender, pack, root):
    flip(pack / file, -8)
    receiver = PackReceiver(root)
    receiver.answer(sender.announcement)
    sender.send(receiver)
    with pytest.raises(RunError, match=message):
        receiver.answer(Completion())
    assert os.listdir(root) == [f"{sender.hash}.lock"]
    with pytest.raises(RunError, match="nobody announced"):
        receiver.answer(Completion())


def test_what_was_not_announced_is_refused(sender, root):
    receiver, total = PackReceiver(root), sender.total
    byte = np.zeros(1, np.uint8)
    with pytest.raises(RunError, match=f"data on {HOST}: a piece of a pack was sent that nobody announced"):
        receiver.answer(Piece(0), byte)
    for start, data in [(total, byte), (-1, byte), (0, byte[:0]), (0, np.zeros(1)), (0, np.zeros((1, 1), np.uint8))]:
        receiver.answer(sender.announcement)
        with pytest.raises(RunError, match=rf"were sent for byte {start} of a pack of {total} bytes"):
            receiver.answer(Piece(start), data)
    receiver.answer(sender.announcement)
    sender.send(receiver, 0, 2000)
    with pytest.raises(
        RunError,
        match=rf"is not the pack that was sent: 2331 of {total} bytes are there; check that one with 'gen-dist verify'",
    ):
        receiver.answer(Completion())
    receiver.answer(sender.announcement)
    for start in range(1, 17):
        assert receiver.answer(Piece(start), byte) == Standing(Progress.WANTED, root / sender.hash)
    with pytest.raises(RunError, match="byte 0 of a pack was waited for in vain"):
        receiver.answer(Piece(17), byte)


def test_a_shipment_that_was_cut_off_is_gone_on_with(sender, root):
    partial_of(sender, root)
    receiver = PackReceiver(root)
    standing = receiver.answer(sender.announcement)
    assert standing == Standing(Progress.WANTED, root / sender.hash, 2331)
    sender.send(receiver, 1554)  # a piece may begin before what is missing
    assert receiver.answer(Completion()).progress is Progress.WHOLE
    assert Pack.open(root / sender.hash).verify() == []


def test_what_was_left_damaged_is_thrown_away(sender, root):
    flip(partial_of(sender, root) / "images-00000.npy", -1)
    receiver = PackReceiver(root)
    position = receiver.answer(sender.announcement).position
    sender.send(receiver, position)
    assert receiver.answer(Completion()) == Standing(Progress.SPOILT, root / sender.hash)
    assert os.listdir(root) == [f"{sender.hash}.lock"]
    assert receiver.answer(sender.announcement).position == 0
    sender.send(receiver)
    assert receiver.answer(Completion()).progress is Progress.WHOLE


def test_the_same_content_in_other_files_begins_anew(sender, root, tmp_path):
    partial_of(sender, root)
    other = Sender(pack_of(tmp_path / "other", noise(40), classes=["a", "b"], labels=[0, 1] * 20, part_bytes=500))
    assert other.hash == sender.hash
    receiver = PackReceiver(root)
    assert receiver.answer(other.announcement).position == 0
    assert list(root.glob(".*.partial")) == []
    other.send(receiver)
    assert receiver.answer(Completion()).progress is Progress.WHOLE
    assert PackReceiver(root).answer(sender.announcement).progress is Progress.WHOLE


def test_one_receives_and_the_others_wait(sender, root):
    one, other = PackReceiver(root), PackReceiver(root)
    one.answer(sender.announcement)
    assert other.answer(sender.announcement) == Standing(Progress.ELSEWHERE, root / sender.hash)
    sender.send(one)
    assert other.answer(sender.announcement).progress is Progress.ELSEWHERE
    one.answer(Completion())
    assert other.answer(sender.announcement).progress is Progress.WHOLE


def test_a_pack_there_that_is_no_good_is_replaced(sender, root):
    (root / sender.hash).mkdir(parents=True)
    (root / sender.hash / "meta.json").write_text("{}")
    receiver = PackReceiver(root)
    assert receiver.answer(sender.announcement).progress is Progress.WANTED
    sender.send(receiver)
    receiver.answer(Completion())
    assert Pack.open(root / sender.hash).content_hash == sender.hash


def test_a_full_disk_is_seen_beforehand(sender, root, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(0, 0, sender.total + SLACK_BYTES - 1))
    standing = PackReceiver(root).answer(sender.announcement)
    assert standing == Standing(
        Progress.FULL, root / sender.hash, 0, sender.total + SLACK_BYTES, sender.total + SLACK_BYTES - 1
    )
    assert os.listdir(root) == [f"{sender.hash}.lock"]


def test_a_disk_that_becomes_full_gets_its_room_back(sender, root, monkeypatch):
    receiver = PackReceiver(root)
    receiver.answer(sender.announcement)
    sender.send(receiver, 0, 2000)

    def refuse(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(
            UserError, match=f"data on {HOST}: cannot keep a pack in '{root}': No space left on device; mend that, or"
        ):
            sender.send(receiver, 2331)
    assert os.listdir(root) == [f"{sender.hash}.lock"]
    assert PackReceiver(root).answer(sender.announcement).progress is Progress.WANTED  # nobody holds the lock


def test_it_goes_into_the_cache(sender, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    folder = tmp_path / "own" / "gen-dist" / "packs" / "shipped" / sender.hash
    assert PackReceiver().answer(sender.announcement) == Standing(Progress.WANTED, folder)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot keep a pack in '.*/file/gen-dist/packs/shipped': Not a directory"):
        PackReceiver().answer(sender.announcement)
