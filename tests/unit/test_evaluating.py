"""Scores of planted samples: worse ones score worse, real ones score as the floor, whoever computes."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

from gen_dist.data.pack import Pack
from gen_dist.errors import UserError
from gen_dist.evaluating.context import Context
from gen_dist.evaluating.crew import Job, Threads
from gen_dist.evaluating.evaluate import groups
from gen_dist.evaluating.figures import GROUPS, KINDS, Figure
from gen_dist.evaluating.jobs import train_classifier
from gen_dist.evaluating.material import Chosen, Material
from gen_dist.evaluating.record import Record, read_record, write_record
from gen_dist.scores.estimate import Estimate
from tests.packs import pack_of
from tests.score_images import blurred, noisy, repeating, stripes

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, COUNT, PARTS = 16, 750, 3


@dataclass(frozen=True)
class Model:
    """As far as scores of samples look at it."""

    size: int = SIZE


@pytest.fixture(scope="module")
def packs(tmp_path_factory) -> dict[str, Pack]:
    folder = tmp_path_factory.mktemp("packs")
    packs = {}
    for name, count, seed in (("train", 1500, 1), ("held-out", COUNT, 2), ("new", COUNT, 3)):
        images, labels = stripes(count, SIZE, seed)
        packs[name] = Pack.open(pack_of(folder / name, images, classes=["across", "upright", "none"], labels=labels))
    return packs


@pytest.fixture(scope="module")
def context(packs) -> Context:
    reference, real = (Chosen(packs[name], np.arange(COUNT)) for name in ("held-out", "train"))
    others = Chosen(packs["train"], np.arange(COUNT, 1500))
    material = Material(reference, real, others, packs["train"], True)
    assert material.parts == PARTS
    few = others.first(500)
    lenet = train_classifier(few.read(), few.labels, 0)
    return Context(Model(), material, 0, reference=material.in_parts(reference), real=material.in_parts(real),
                   lenet=lenet)  # fmt: skip


def scores_of(images: np.ndarray, context: Context, group: str, workers: int = 2) -> dict[str, Figure]:
    samples = np.split(images, PARTS)
    given = Context(**{**vars(context), "samples": samples})
    judge = groups()[group]
    assert judge.refusal(given) is None
    found = Threads(workers).run(judge.jobs(given), lambda: None)
    figures = judge.figures(found, given)
    assert [figure.name for figure in figures] == [*GROUPS[group]]
    return {figure.name: figure for figure in figures}


def new_images(packs) -> np.ndarray:
    return packs["new"].read(np.arange(COUNT))


@pytest.mark.parametrize("group", ["wasserstein", "features", "diversity", "memorisation"])
def test_new_real_images_score_as_the_floor(group, packs, context):
    for figure in scores_of(new_images(packs), context, group).values():
        assert figure.floor is not None
        width = (figure.floor.high - figure.floor.low) + (figure.estimate.high - figure.estimate.low)
        assert abs(figure.estimate.value - figure.floor.value) <= width + 1e-3, figure


def shuffled(images: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(images)


SPOILT = {
    "blur": (lambda images, much: blurred(images, much)),
    "noise": (lambda images, much: noisy(images, 12 * much)),
    "few modes": (lambda images, much: shuffled(repeating(images, 60 // much**2))),
}
# Which scores tell of which fault.
TOLD = [
    ("wasserstein", "sliced_wasserstein", 1, ("blur", "noise", "few modes")),
    ("features", "kernel_distance_lenet", 1, ("blur", "noise", "few modes")),
    ("features", "frechet_distance_lenet", 1, ("blur", "noise", "few modes")),
    ("features", "recall", -1, ("few modes",)),
    ("features", "precision", -1, ("blur",)),
    ("diversity", "ms_ssim", 1, ("few modes",)),
]


@pytest.mark.parametrize(("group", "name", "direction", "faults"), TOLD)
def test_the_worse_the_samples_the_worse_the_score(group, name, direction, faults, packs, context):
    images = new_images(packs)
    for fault in faults:
        told = [scores_of(each, context, group)[name] for each in
                (images, *(SPOILT[fault](images, much) for much in (1, 2, 4)))]  # fmt: skip
        values = [direction * figure.estimate.value for figure in told]
        assert values == sorted(values), (fault, values)
        assert values[-1] > values[0]


def test_samples_that_repeat_training_images_are_told_from_blurred_ones(packs, context):
    # of other parts of the training images than a sample's own, which is left out
    new, train = new_images(packs), packs["train"].read(np.roll(np.arange(COUNT), COUNT // PARTS))
    told = []
    for share in (0, 3, 1):  # of three
        images = new.copy()
        if share:
            images[::share] = noisy(train, 4)[::share]
        told.append(scores_of(images, context, "memorisation"))
    for name in ("nearer_to_train", "repeats"):
        values = [one[name].estimate.value for one in told]
        assert values == sorted(values)
    assert told[1]["repeats"].estimate.value == pytest.approx(1 / 3, abs=0.01)
    assert told[1]["repeats"].above.low > 0.2
    assert told[2]["nearer_to_train"].estimate.value == 1
    dull = scores_of(blurred(new, 2), context, "memorisation")
    assert dull["nearer_to_train"].estimate.value == pytest.approx(0.5, abs=0.15)
    assert dull["repeats"].estimate.value < 0.02


@pytest.mark.parametrize("group", ["wasserstein", "features", "diversity", "memorisation"])
def test_the_number_of_workers_changes_no_bit(group, packs, context):
    images = new_images(packs)
    told = [scores_of(images, context, group, workers) for workers in (1, 3)]
    assert told[0] == told[1]


def test_a_failing_job_ends_the_others():
    def fail() -> None:
        raise UserError("on purpose")

    done = []

    def slowly() -> None:
        time.sleep(0.02)
        done.append(2)

    with pytest.raises(UserError, match="on purpose"):
        Threads(1).run([Job(done.append, (1,)), Job(fail, ()), *[Job(slowly, ())] * 50], lambda: None)
    assert len(done) < 50


def test_a_record_is_read_as_it_was_written(tmp_path):
    figures = [Figure(name, Estimate(0.1 + number, 0.0, 2.5), Estimate(0.3)) for number, name in enumerate(KINDS)]
    record = Record(7, "raw", 3, "photos", True, 500, 2, figures, {"likelihood": "no"}, ["a note"])
    write_record(record, tmp_path / "evaluation.json")
    assert read_record(tmp_path / "evaluation.json") == record
    assert read_record(tmp_path / "nothing.json") is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"scores": {"x": {}}}', b'{"scores": 3}', b"\xff"])
def test_damaged_records_are_refused(content, tmp_path):
    (tmp_path / "evaluation.json").write_bytes(content)
    with pytest.raises(UserError, match=r"evaluation.json: is damaged; evaluate again"):
        read_record(tmp_path / "evaluation.json")
