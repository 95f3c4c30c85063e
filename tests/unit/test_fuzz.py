"""Hostile bytes: a short run of `benchmarks.fuzz`, and that it sees what it is there to see."""

import mmap
import time
from collections import Counter

import numpy as np
import pytest

from benchmarks import fuzz_judge
from benchmarks.fuzz_files import Case, Corpus, read_chunks, write_chunks
from benchmarks.fuzz_judge import ACCEPTED, DECODERS, REFUSED, judge
from gen_dist.kernels.limits import DecodeError

FILES = 1500  # of each format


@pytest.fixture(scope="module")
def corpus():
    corpus = Corpus(0)
    for number in range(100):  # compiles, which takes more than the time and memory that a decode may
        judge(corpus.case(number))
    return corpus


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_every_decision_is_pillows_or_has_a_reason(corpus, format):
    decisions = Counter()
    for number in range(FILES):
        finding = judge(corpus.case(number, [format]))
        assert not finding.fault, f"file {number}: {finding.fault}"
        decisions[finding.group[1]] += 1
    assert min(decisions[ACCEPTED], decisions[REFUSED]) > FILES / 10  # both ways are taken


def test_files_are_functions_of_seed_and_number(corpus):
    again, other = Corpus(0), Corpus(1)
    assert all(corpus.case(number) == again.case(number) for number in range(40))
    assert [other.case(number).data for number in range(40)] != [corpus.case(number).data for number in range(40)]


def whole(corpus):
    cases = (corpus.case(number, ["PNG"]) for number in range(2000))
    return next(case for case in cases if not case.changes and judge(case).group[1] == ACCEPTED)


def without_checks(data, limits):
    """Our PNG decoder, had it no checksums."""
    return DECODERS["PNG"](write_chunks(read_chunks(data)), limits)


def raises_another_error(data, limits):
    raise IndexError("index is out of bounds")


def refuses_everything(data, limits):
    raise DecodeError("cut short in chunk IDAT")


def other_pixels(data, limits):
    return DECODERS["PNG"](data, limits) ^ 1


def slow(data, limits):
    end = time.thread_time() + 1.1
    while time.thread_time() < end:
        pass
    return DECODERS["PNG"](data, limits)


def wasteful(data, limits):
    fresh = mmap.mmap(-1, 80 << 20)  # malloc may have kept as much from tests before
    np.frombuffer(fresh, np.uint8)[:] = 1
    return DECODERS["PNG"](data, limits)


@pytest.mark.parametrize(
    ("decoder", "fault"),
    [
        (raises_another_error, "IndexError"),
        (refuses_everything, "a good file refused"),
        (other_pixels, "other pixels"),
        (slow, "took 1.1 s"),
        (wasteful, "MB to the process"),
    ],
)
def test_a_faulty_decoder_is_found(monkeypatch, corpus, decoder, fault):
    case = whole(corpus)
    monkeypatch.setattr(fuzz_judge, "DECODERS", {"PNG": lambda data, limits: decoder(data, limits)})
    assert fault in judge(case).fault


def test_a_wrong_reason_is_not_believed(monkeypatch, corpus):
    """A changed file refused with the message of another damage than it has."""
    case = whole(corpus)
    changed = Case("PNG", ("nothing",), case.data)
    monkeypatch.setattr(fuzz_judge, "DECODERS", {"PNG": refuses_everything})
    assert "refused" in judge(changed).fault


def test_damage_that_is_not_noticed_is_found(monkeypatch, corpus):
    """What Pillow refuses for a wrong checksum before the image, accepted."""
    case = whole(corpus)
    at = case.data.index(b"IHDR") + 17
    damaged = case.data[:at] + bytes([case.data[at] ^ 1]) + case.data[at + 1 :]
    assert not judge(Case("PNG", ("crc",), damaged)).fault
    monkeypatch.setattr(fuzz_judge, "DECODERS", {"PNG": without_checks})
    assert "accepted; Pillow" in judge(Case("PNG", ("crc",), damaged)).fault
