"""The loader's ledger: which samples come, in which memory, whoever owns what and however the threads run."""

import contextlib
import os
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_dist.config import AugmentSettings
from gen_dist.data import loader as loading_module
from gen_dist.data.loader import Loader
from gen_dist.data.pack import Pack
from gen_dist.data.pack_files import About
from gen_dist.data.pack_index import Entry
from gen_dist.data.pack_writer import PackWriter
from gen_dist.data.stream import Batching, Stream
from gen_dist.draws import subkey
from gen_dist.errors import RunError
from gen_dist.kernels.philox import fill_uniform
from gen_dist.kernels.random_crops import NUMBERS
from gen_dist.kernels.resize import resize
from tests.jpegs import encoded
from tests.naive import batch as naive
from tests.naive.augment import crop_box as naive_crop_box

PRIME = 53
BATCHING = Batching(batch_size=12, microbatch_size=3, reads_per_step=2)
FLIPS = AugmentSettings(horizontal_flip=True, vertical_flip=True)
NO_FLIPS = AugmentSettings()


class FakePack:
    """Random images in parts of the given lengths."""

    encoded = None

    def __init__(self, lengths=(PRIME,), shape=(4, 5, 3)):
        rng = np.random.default_rng(0)
        self.shape = shape
        self.parts = [rng.integers(0, 256, (n, *shape), dtype=np.uint8) for n in lengths]
        self.images = np.concatenate(self.parts)

    def __len__(self):
        return len(self.images)


def loading(pack=None, *, seed=9, batching=BATCHING, augment=FLIPS, pixel_range=(-1.0, 1.0), **options):
    loader = Loader(pack or FakePack(), seed, batching, augment=augment, pixel_range=pixel_range, **options)
    return contextlib.closing(loader)


def consume(loader, steps, indices, batching=BATCHING):
    """All microbatches of these steps, copied, each step released after its last read."""
    found = []
    for step in steps:
        for read in range(batching.reads_per_step):
            for batch in loader.get(step, read, indices):
                found.append((step, read, batch.index, batch.positions, batch.samples, batch.images.clone()))
        loader.release(step)
    return found


def same(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one[:3] == other[:3]
        for a, b in zip(one[3:], other[3:], strict=True):
            np.testing.assert_array_equal(a, b)


class Gate:
    """Stands in the way of a loader's reads: counts them, can hold some up or make them fail."""

    def __init__(self, loader):
        self.fill, self.starts, self.outs = loader.source.fill, [], []
        self.open, self.entered = threading.Event(), threading.Event()
        self.held_up = set()  # first positions of the reads that wait for `open`
        self.failures = 0
        loader.source.fill = self

    def __call__(self, out, plan):
        self.starts.append(int(plan.positions[0]))
        self.outs.append(out.ctypes.data)
        if plan.positions[0] in self.held_up:
            self.entered.set()
            assert self.open.wait(20)
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is gone")
        return self.fill(out, plan)


@pytest.mark.parametrize("shape", [(4, 5, 3), (6, 6, 1), (1, 1, 4)])
@pytest.mark.parametrize("lengths", [(PRIME,), (20, 1, 32)])
def test_microbatches_hold_what_the_stream_says(shape, lengths):
    pack = FakePack(lengths, shape)
    stream = Stream(9, PRIME)
    with loading(pack, pixel_range=(0.0, 1.0)) as loader:
        for step in range(6):
            for read in range(2):
                for batch, index in zip(loader.get(step, read, [1, 2]), [1, 2], strict=True):
                    assert batch.index == index
                    np.testing.assert_array_equal(batch.positions, BATCHING.positions(step, read, index))
                    np.testing.assert_array_equal(batch.samples, stream.indices(batch.positions))
                    flips = loader.source.augmentation.at(batch.positions).flips
                    expected = naive.gather(pack.images, batch.samples, flips, 0, 1)
                    np.testing.assert_allclose(batch.images.permute(0, 2, 3, 1), expected, rtol=0, atol=1e-6)
                    assert batch.images.dtype == torch.float32
                    assert batch.images.shape == (3, shape[2], *shape[:2])
                    assert batch.images.is_contiguous(memory_format=torch.channels_last)
            loader.release(step)


EVERYTHING = AugmentSettings(
    horizontal_flip=True, vertical_flip=True, crop_padding=2, rotation=20, width_shift=0.1, height_shift=0.1, shear=10,
    zoom=0.2, fill_mode="reflect", brightness=0.3, contrast=0.3, saturation=0.3,
)  # fmt: skip


@pytest.mark.parametrize("augment", [NO_FLIPS, FLIPS, EVERYTHING])
@pytest.mark.parametrize("threads", [1, 3])
def test_chunks_of_a_microbatch_make_no_difference(monkeypatch, augment, threads):
    with loading(augment=augment) as one:
        whole = consume(one, range(3), range(4))
    monkeypatch.setattr(loading_module, "CHUNK_BYTES", 1)
    with loading(FakePack((20, 33)), augment=augment, threads=threads) as other:
        gate = Gate(other)
        same(whole, consume(other, range(3), range(4)))
        assert len(gate.starts) >= 3 * 2 * 12


PARTS = AugmentSettings(crop_scale=0.3, crop_ratio=2.0)


def expected_part(pack, index, box):
    """The part of an image, made alone."""
    out = np.empty((1, *pack.shape), np.uint8)
    if pack.encoded is not None:
        pack.encoded.decode(out, np.array([index]), box[None])
    else:
        resize(out[0], pack.read([index])[0], filter="bilinear", box=box)
    return out[0]


@pytest.mark.parametrize("kind", ["colour", "gray", "jpeg", "jpeg gray"])
def test_random_parts_are_those_of_the_position(packs, kind):
    pack = Pack.open(packs[kind])
    with loading(pack, augment=PARTS, pixel_range=(0.0, 255.0)) as loader:
        for step in range(3):
            for batch in loader.get(step, 0, range(4)):
                sizes = np.full((len(pack), 2), 16) if pack.sizes is None else pack.sizes
                regions = np.hstack((np.zeros((3, 2)), sizes[batch.samples]))
                numbers = np.empty((3, 13 + NUMBERS), np.float32)
                fill_uniform(numbers, *subkey(9, "augment"), batch.positions)
                for i, sample in enumerate(batch.samples):
                    draws = numbers[i, 13:].astype(np.float64)
                    box = np.array(naive_crop_box(0, 0, *regions[i, 2:].astype(int), draws, 0.3, 2.0), np.float64)
                    whole = batch.images[i].permute(1, 2, 0).numpy()
                    np.testing.assert_allclose(whole, expected_part(pack, sample, box), rtol=0, atol=1e-4)


@pytest.mark.parametrize("augment", [NO_FLIPS, PARTS, EVERYTHING.model_copy(update={"crop_scale": 0.2})])
@pytest.mark.parametrize("kind", ["colour", "jpeg", "jpeg gray"])
def test_made_images_have_the_same_bits_for_any_threads_and_chunks(monkeypatch, packs, kind, augment):
    pack = Pack.open(packs[kind])
    with loading(pack, augment=augment) as one:
        whole = consume(one, range(6), range(4))
    for bytes_, threads in ((1 << 23, 4), (1, 4), (2 * 4 * 16 * 16 * 3, 1)):
        monkeypatch.setattr(loading_module, "CHUNK_BYTES", bytes_)
        with loading(pack, augment=augment, threads=threads) as other:
            same(whole, consume(other, range(6), range(4)))


def test_parts_of_a_split_pack_are_those_of_a_whole_one():
    with loading(FakePack(), augment=PARTS) as one, loading(FakePack((20, 1, 32)), augment=PARTS) as other:
        same(consume(one, range(6), range(4)), consume(other, range(6), range(4)))


@pytest.mark.parametrize("kept", ["pixels", "jpeg"])
def test_a_pack_of_forty_files_trains_like_one_of_one(tmp_path, kept):
    files = [encoded(20 + i, 24, seed=i) for i in range(80)]
    images = np.random.default_rng(1).integers(0, 256, (80, 16, 16, 3), dtype=np.uint8)
    packs = []
    for name, part_bytes in (("one", 1 << 30), ("many", 2 * images[0].nbytes if kept == "pixels" else 1)):
        with PackWriter(tmp_path / name, (16, 16, 3), part_bytes, kept=kept) as writer:
            for i, (image, data) in enumerate(zip(images, files, strict=True)):
                writer.append(image if kept == "pixels" else data, label=i % 3, size=(20 + i, 24))
            writer.finish(About("made by a test", {}, ["a", "b", "c"]))
        packs.append(Pack.open(tmp_path / name))
    one, many = packs
    assert (len(one.parts), len(many.parts)) == (1, 40 if kept == "pixels" else 80)
    assert one.content_hash == many.content_hash, "a run goes on with either"
    assert many.verify() == []
    some = np.array([79, 0, 41, 40, 39, 40])
    np.testing.assert_array_equal(one.read(some), many.read(some))
    for augment in (FLIPS, PARTS):
        with loading(one, augment=augment) as first, loading(many, augment=augment, threads=2) as second:
            same(consume(first, range(8), range(4)), consume(second, range(8), range(4)))


def test_jpegs_without_changes_are_what_the_pack_shows(packs):
    pack = Pack.open(packs["jpeg"])
    with loading(pack, augment=NO_FLIPS, pixel_range=(0.0, 255.0)) as loader:
        for batch in loader.get(0, 0, range(4)):
            shown = pack.read(batch.samples)
            np.testing.assert_allclose(batch.images.permute(0, 2, 3, 1), shown, rtol=0, atol=1e-4)


def test_a_damaged_jpeg_reaches_the_caller_with_its_name(tmp_path):
    files = [encoded(20, 24, seed=i) for i in range(5)]
    files[3] = files[3][:-60] + bytes([255, 0xD9]) * 30
    path = tmp_path / "pack"
    with PackWriter(path, (16, 16, 3), kept="jpeg") as writer:
        for index, data in enumerate(files):
            writer.append(data, size=(20, 24))
            writer.note(Entry(f"{index}.jpg", ""))
        writer.finish(About("made by a test", {}))
    with loading(Pack.open(path)) as loader, pytest.raises(RunError, match=r"image 3, '3.jpg': .*gen-dist verify"):
        loader.get(0, 0, range(4))


@settings(max_examples=20, deadline=None)
@given(st.data(), st.integers(1, 3))
def test_ledger_over_changing_owners(data, workers):
    """Over five passes of a prime number of images each comes once a pass, whoever owned which microbatch."""
    passes, per_step = 5, BATCHING.batch_size * BATCHING.reads_per_step
    steps = -(-passes * PRIME // per_step)
    sample_at = {}
    with contextlib.ExitStack() as stack:
        loaders = [stack.enter_context(loading()) for _ in range(workers)]
        for step in range(steps):
            edges = st.lists(st.integers(0, BATCHING.microbatches), min_size=workers - 1, max_size=workers - 1)
            cuts = [0, *sorted(data.draw(edges)), BATCHING.microbatches]
            for loader, first, end in zip(loaders, cuts, cuts[1:], strict=False):
                for _, _, _, positions, samples, _ in consume(loader, [step], range(first, end)):
                    for position, sample in zip(positions.tolist(), samples.tolist(), strict=True):
                        assert position not in sample_at
                        sample_at[position] = sample
    assert sorted(sample_at) == list(range(steps * per_step))
    for start in range(0, passes * PRIME, PRIME):
        assert sorted(sample_at[p] for p in range(start, start + PRIME)) == list(range(PRIME))


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
@pytest.mark.parametrize("prefetch", [0, 1, 3])
def test_same_bits_for_any_threads_and_prefetch(threads, prefetch):
    with loading() as one, loading(FakePack((20, 33)), threads=threads, prefetch=prefetch) as other:
        same(consume(one, range(8), range(4)), consume(other, range(8), range(4)))


def test_resuming_in_the_middle_of_a_pass_goes_on_alike():
    with loading() as one, loading() as resumed:
        whole = consume(one, range(10), [0, 1, 2, 3])
        same(whole[3 * 8 :], consume(resumed, range(3, 10), [0, 1, 2, 3]))


def test_the_next_reads_are_loaded_ahead_and_only_once():
    with loading(prefetch=2) as loader:
        gate = Gate(loader)
        for read in (0, 1):
            loader.get(0, read, [0, 3])
        loader._executor.submit(lambda: None).result()
        # Reads (0, 0), (0, 1), (1, 0), then (1, 1): microbatches 0 and 3 of four batches of twelve.
        assert gate.starts == [0, 9, 12, 21, 24, 33, 36, 45]
        loader.get(1, 0, [0, 3])
        loader._executor.submit(lambda: None).result()
        assert gate.starts[8:] == [48, 57]


def test_new_owners_get_their_own_and_keep_what_was_loaded():
    with loading(prefetch=1) as loader, loading() as reference:
        gate = Gate(loader)
        loader.get(0, 0, [0, 1])
        loader._executor.submit(lambda: None).result()
        gate.starts.clear()
        found = [(b.index, b.samples.tolist(), b.images.clone()) for b in loader.get(0, 1, [1, 2, 3])]
        expected = [(b.index, b.samples.tolist(), b.images) for b in reference.get(0, 1, [1, 2, 3])]
        for one, other in zip(found, expected, strict=True):
            assert one[:2] == other[:2]
            assert torch.equal(one[2], other[2])
        loader._executor.submit(lambda: None).result()
        assert gate.starts == [18, 21, 27, 30, 33]  # not 15, which was there


def test_held_buffers_are_never_written_and_released_ones_are_used_again():
    with loading(threads=3) as loader:
        held, copies = [], []
        for step in range(6):
            for read in (0, 1):
                for batch in loader.get(step, read, [0, 1]):
                    held.append(batch.images)
                    copies.append(batch.images.clone())
        loader._executor.shutdown(wait=True)  # all that was loaded ahead has been written
        assert all(torch.equal(image, copy) for image, copy in zip(held, copies, strict=True))
        assert len({image.data_ptr() for image in held}) == 24


def test_release_takes_back_this_and_earlier_steps():
    with loading(prefetch=0) as loader:
        pointers = [{b.images.data_ptr() for b in loader.get(step, 0, [0, 1])} for step in range(3)]
        loader.release(1)
        again = {b.images.data_ptr() for b in loader.get(3, 0, [0, 1, 2, 3])}
        assert again == pointers[0] | pointers[1]
        assert loader.get(4, 0, [0])[0].images.data_ptr() not in set.union(*pointers)


def test_memory_stays_bounded_when_released():
    with loading(prefetch=2, threads=2) as loader:
        gate = Gate(loader)
        consume(loader, range(50), range(4))
        assert len(set(gate.outs)) <= 4 * (2 + 2)  # two reads held in a step, two ahead


def test_an_abandoned_buffer_is_not_given_out_while_it_is_written():
    with loading(prefetch=1, threads=2) as loader, loading() as reference:
        gate = Gate(loader)
        gate.held_up = {12}  # the read after the first one sticks in its thread
        loader.get(0, 0, [0])
        assert gate.entered.wait(20)
        stuck = gate.outs[gate.starts.index(12)]
        loader.release(0)
        held = [loader.get(step, 0, [1])[0].images for step in range(5, 10)]
        assert stuck not in gate.outs[2:]
        gate.open.set()
        expected = [reference.get(step, 0, [1])[0].images for step in range(5, 10)]
        loader._executor.shutdown(wait=True)
        assert all(torch.equal(one, other) for one, other in zip(held, expected, strict=True))
        free = [loader._buffer(), *loader._free]
        assert stuck in {buffer.data_ptr() for buffer in free}  # once written it may be used again


def test_an_exception_in_a_thread_reaches_the_caller_and_the_next_try_loads_again():
    with loading(prefetch=0, threads=2) as loader, loading() as reference:
        gate = Gate(loader)
        gate.failures = 1
        with pytest.raises(OSError, match="the disk is gone"):
            loader.get(0, 0, [0, 1, 2])
        for one, other in zip(loader.get(0, 0, [0, 1, 2]), reference.get(0, 0, [0, 1, 2]), strict=True):
            assert torch.equal(one.images, other.images)


@pytest.mark.parametrize("place", [(0, 2, [0]), (0, 0, [4]), (-1, 0, [0])])
def test_places_outside_the_step_are_refused(place):
    with loading() as loader, pytest.raises(ValueError, match="out of range"):
        loader.get(*place)


def test_waiting_is_divided_as_the_threads_time_was():
    with loading(prefetch=0) as loader:
        loader._busy.take()
        loader._busy.add(3.0, 1.0, 8.0)
        found = loader.split_wait({"data_wait": 2.0, "forward": 5.0})
        assert found == {"data_wait": 1.0, "decode": 0.75, "augment": 0.25, "forward": 5.0, "loading": 8.0}
        assert loader.split_wait({"data_wait": 2.0}) == {"data_wait": 2.0, "loading": 0.0}  # nobody has worked since


def test_a_read_is_planned_once_in_the_background():
    planned = []
    with loading() as loader:
        plan = loader.source.plan

        def watched(positions):
            planned.append((threading.current_thread().name, len(positions)))
            return plan(positions)

        loader.source.plan = watched
        consume(loader, range(3), [0, 1, 3])
        loader.get(3, 0, [0, 1, 2, 3])  # only what is new
    assert all(name.startswith("gen-dist-loader") for name, _ in planned)
    assert [size for _, size in planned[:6]] == [9] * 6
    assert 3 in [size for _, size in planned[6:]]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere threads have no priority of their own")
def test_threads_that_load_give_way_to_those_that_compute():
    with loading(prefetch=0) as loader:
        loader.get(0, 0, [0])
        [thread] = loader._executor._threads
        assert os.getpriority(os.PRIO_PROCESS, thread.native_id) > os.getpriority(os.PRIO_PROCESS, 0)


def test_the_threads_time_is_measured():
    with loading(prefetch=0) as loader:
        gate = Gate(loader)
        gate.held_up = {0}
        threading.Timer(0.2, gate.open.set).start()
        loader.get(0, 0, [0])
        decoding, augmenting, everything = loader._busy.take()
    assert everything > 0.15  # held up before it found an image
    assert 0 <= decoding + augmenting < 0.1
    assert augmenting > 0


def test_close_ends_the_threads_and_leaves_what_was_handed_out():
    before = set(threading.enumerate())  # another test may have left one, which may end meanwhile
    loader = Loader(FakePack(), 9, BATCHING, augment=NO_FLIPS, pixel_range=(0.0, 1.0), threads=3)
    images = loader.get(0, 0, [0, 1])[0].images
    copy = images.clone()
    assert set(threading.enumerate()) - before
    loader.close()
    loader.close()
    assert not set(threading.enumerate()) - before
    assert torch.equal(images, copy)
    with pytest.raises(RuntimeError, match="shutdown"):
        loader.get(0, 1, [0])


def test_a_pack_that_contradicts_itself_is_refused():
    pack = FakePack()
    pack.parts = pack.parts * 2
    with pytest.raises(ValueError, match="parts hold 106"):
        Loader(pack, 9, BATCHING, augment=NO_FLIPS, pixel_range=(0.0, 1.0))
