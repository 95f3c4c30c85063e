"""Any number of workers, any ownership: the same bits. One group of processes computes all rows."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from gen_dist.config import RESULT_FIELDS, RunConfig, flatten
from gen_dist.models.build import count_parameters
from gen_dist.step_times import COUNTED, MEASURED
from tests.conftest import TINY_IMAGES
from tests.training_cases import CASES, case, pack_of
from tests.worker_group import Answer, Request, WorkerGroup

FOUR = ([4], [2, 2], [3, 1], [1, 3], [1, 2, 1], [1, 1, 1, 1])
WAYS = dict.fromkeys(CASES, FOUR) | {"vae-seven-microbatches": ([7], [4, 3], [1, 6], [3, 3, 1], [2, 2, 2, 1])}


@pytest.fixture(scope="module")
def group() -> Iterator[WorkerGroup]:
    group = WorkerGroup()
    yield group
    group.close()


@pytest.fixture(scope="module")
def alone(group: WorkerGroup, packs: dict[str, Path]) -> dict[str, Answer]:
    """Every row in one process."""
    return {name: group.run(Request(name, str(pack_of(name, packs)), WAYS[name][0]))[0] for name in CASES}


def check(answers: Sequence[Answer], expected: Answer) -> None:
    for answer in answers:
        assert answer.error == ""
        assert answer.hashes == expected.hashes
        assert answer.losses == expected.losses


@pytest.mark.parametrize(("name", "shares"), [(name, shares) for name, ways in WAYS.items() for shares in ways[1:]])
def test_the_state_has_the_same_bits_after_every_step(name, shares, group, alone, packs):
    assert len(set(alone[name].hashes)) == 3
    check(group.run(Request(name, str(pack_of(name, packs)), shares)), alone[name])


# --- rows for everything ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Setting:
    """A setting that decides the weights, in all families that inherit it from one group of settings.

    Dropout in a VAE and dropout in a discriminator are two settings.
    """

    name: str
    group: str
    choices: frozenset[object]
    default: object
    tag: str  # the name of the setting that says which families those are, and its values
    values: frozenset[str]

    def seen(self, rows: Sequence[dict[str, object]]) -> set[object]:
        own = [row for row in rows if self.name in row and (not self.tag or row[self.tag] in self.values)]
        return {repr(row[self.name]) for row in own}

    def uncovered(self, rows: Sequence[dict[str, object]]) -> list[str]:
        missing = [f"{self.name}={choice}" for choice in self.choices if repr(choice) not in self.seen(rows)]
        if not self.choices and not self.seen(rows) - {repr(self.default)}:
            missing.append(f"{self.group} {self.name}")
        return missing


def settings(model: type[BaseModel] = RunConfig, prefix: str = "", tag: str = "", value: str = "") -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        inner = [kind for kind in get_args(field.annotation) or (field.annotation,) if is_group(kind)]
        for kind in inner:
            chooser = field.discriminator
            own = get_args(kind.model_fields[chooser].annotation)[0] if chooser else value
            yield from settings(kind, f"{prefix}{name}.", f"{prefix}{name}.{chooser}" if chooser else tag, own)
        if not inner and f"{prefix}{name}".startswith(RESULT_FIELDS):
            [*_, group] = [kind for kind in model.__mro__ if name in vars(kind).get("__annotations__", {})]
            literal = get_origin(field.annotation) is Literal
            choices = frozenset(get_args(field.annotation) if literal else ()) - {"auto"}
            yield Setting(f"{prefix}{name}", group.__name__, choices, field.default, tag, frozenset({value}))


def is_group(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def merged(found: Iterable[Setting]) -> list[Setting]:
    """One for each group and name: of all families that inherit it."""
    together: dict[tuple[str, str], Setting] = {}
    for one in found:
        known = together.get((one.group, one.name), one)
        both = replace(one, values=known.values | one.values, choices=known.choices | one.choices)
        together[one.group, one.name] = both
    return list(together.values())


def uncovered(configs: Sequence[RunConfig]) -> list[str]:
    """Settings for which no row has each choice, or where there are no choices, another value than the default."""
    rows = [flatten(config.model_dump()) for config in configs]
    return [line for setting in merged(settings()) for line in setting.uncovered(rows)]


def test_every_model_loss_regulariser_and_augmentation_has_a_row():
    assert uncovered([case(name) for name in CASES]) == []


@pytest.mark.parametrize(
    ("left_out", "missing"),
    [
        ("dcgan", {"DiscriminationSettings objective.instance_noise", "AugmentSettings data.augment.horizontal_flip"}),
        ("vae", {"VAESettings model.dropout"}),
        ("vae-bernoulli", {"objective.likelihood=bernoulli", "VAEObjectiveSettings objective.beta"}),
        ("vae-mlp", {"optimizer.kind=sgd", "model.activation=leaky_relu", "OptimizerSettings optimizer.clip_norm"}),
        ("growing", {"GrowingSettings model.fade_steps"}),
    ],
)
def test_what_has_no_row_is_named(left_out, missing):
    assert set(uncovered([case(name) for name in CASES if name != left_out])) >= missing


# --- spoilt on purpose -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mutation", ["own generator", "own order"])
@pytest.mark.parametrize("name", ["vae", "dcgan"])
def test_a_rank_with_its_own_randomness_or_order_changes_the_bits(mutation, name, group, alone, tiny_pack):
    answers = group.run(Request(name, str(tiny_pack), [1, 1, 1, 1], mutation=mutation, mutant=2))
    assert [answer.error for answer in answers] == [""] * 4, "it is not noticed by its crashing"
    assert all(answer.hashes[0] != alone[name].hashes[0] for answer in answers)


@pytest.mark.parametrize(("name", "module"), [("vae", "encoder"), ("dcgan", "generator")])
def test_one_flipped_bit_stops_the_run_and_names_rank_and_tensor(name, module, group, tiny_pack):
    answers = group.run(Request(name, str(tiny_pack), [1, 2, 1], mutation="flipped bit", mutant=1))
    named = rf"after step 1: rank 1 on \S+ \(first in tensor {module}.layers.1.weight of weights.safetensors\) holds"
    for answer in answers:
        assert answer.hashes == []
        assert re.match(named, answer.error), answer.error


def test_in_rounding_mode_the_states_are_made_equal_again(group, tiny_pack):
    """The flipped bit is gone after the step, because rank 0's state replaces it."""
    overrides = ["train.reproducibility=rounding", "train.reducer=ddp"]
    sound = group.run(Request("dcgan", str(tiny_pack), [1, 2, 1], overrides))
    answers = group.run(Request("dcgan", str(tiny_pack), [1, 2, 1], overrides, mutation="flipped bit", mutant=1))
    check(answers, sound[0])


# --- rounding, traffic, ledger ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shares", FOUR[1:], ids=str)
@pytest.mark.parametrize(
    ("name", "own"),
    [("vae", ["model.width=16", "model.dropout=0"]), ("dcgan", ["model.generator_width=8"])],
)
def test_in_rounding_mode_with_ddp_losses_agree_closely(name, own, shares, group, tiny_pack):
    overrides = ["train.reproducibility=rounding", "train.reducer=ddp", *own]
    [expected] = group.run(Request(name, str(tiny_pack), [4], overrides, steps=20))
    for answer in group.run(Request(name, str(tiny_pack), shares, overrides, steps=20)):
        assert answer.error == ""
        for found, one in zip(answer.losses, expected.losses, strict=True):
            assert losses_only(found) == pytest.approx(losses_only(one), rel=1e-4)


@pytest.mark.parametrize("name", [name for name in CASES if name != "dcgan-two-threads"])
def test_every_row_trains_with_ddp_as_in_one_process(name, group, alone, packs):
    """Phases with and without penalties, of one module or two, of some parameters or all."""
    shares = [sum(WAYS[name][0]) - 1, 1]
    overrides = ["train.reproducibility=rounding", "train.reducer=ddp"]
    for answer in group.run(Request(name, str(pack_of(name, packs)), shares, overrides)):
        assert answer.error == ""
        for found, one in zip(answer.losses, alone[name].losses, strict=True):
            assert losses_only(found) == pytest.approx(losses_only(one), rel=1e-4, abs=1e-6)


def losses_only(values: dict[str, float]) -> dict[str, float]:
    """Gradient norms of networks this small are more sensitive than that."""
    return {name: value for name, value in values.items() if not name.startswith("gradient_norm")}


def test_equal_workers_send_no_more_than_a_ring(group, tiny_pack):
    """A ring all-reduce of V bytes sends 2 (W - 1) / W V from each of W workers: for two workers V."""
    steps = 3
    [vector] = {answer.bytes_sent for answer in group.run(Request("dcgan", str(tiny_pack), [2, 2], steps=steps))}
    gradients = 4 * sum(count_parameters(case("dcgan")).values())
    # And in float64, which weighs more in so small a model: batch-norm statistics, losses, what ranks tell each other.
    assert gradients < vector / steps < 1.15 * gradients
    sent = [answer.bytes_sent for answer in group.run(Request("dcgan", str(tiny_pack), [1, 1, 1, 1], steps=steps))]
    times = len((*MEASURED, *COUNTED)) * (4 - 2) * 8 * 2 * steps  # of two more ranks, float64, in both phases
    assert sum(sent) == 4 * (2 * 3 / 4) * (vector + times)


def test_every_image_is_read_once_in_every_pass_whatever_happens(group, tiny_pack, tmp_path):
    """Eight passes of 37 images, by changing groups of workers that stop and go on in the middle of passes."""
    read: list[tuple[int, int]] = []
    steps, load = 0, None
    for number, shares in enumerate(([3, 1], [1, 1, 1, 1], [4], [1, 2, 1], [2, 2]) * 2):
        save = tmp_path / str(number)
        save.mkdir()
        for answer in group.run(
            Request("dcgan", str(tiny_pack), shares, steps=(count := 1 + number % 3), load=load, save=str(save))
        ):
            assert answer.error == ""
            read += [(position, sample) for position, sample in answer.read]
        steps, load = steps + count, str(save)
    positions = [position for position, _ in read]
    assert sorted(positions) == list(range(16 * steps)), "a position was left out or read twice"
    samples = dict(read)
    passes = len(positions) // TINY_IMAGES
    assert passes == 8
    for first in range(0, passes * TINY_IMAGES, TINY_IMAGES):
        assert sorted(samples[p] for p in range(first, first + TINY_IMAGES)) == list(range(TINY_IMAGES))


def test_resumed_by_other_workers_in_the_middle_of_a_pass(group, tiny_pack, tmp_path):
    for name in ("vae", "dcgan"):
        [expected] = group.run(Request(name, str(tiny_pack), [4], steps=5))
        first = group.run(Request(name, str(tiny_pack), [1, 2, 1], steps=2, save=str(tmp_path)))
        then = group.run(Request(name, str(tiny_pack), [3, 1], steps=3, load=str(tmp_path)))
        assert first[0].hashes + then[0].hashes == expected.hashes


@pytest.mark.parametrize(("name", "phases"), [("vae", 1), ("dcgan", 2)])
def test_how_often_workers_talk(name, phases, group, tiny_pack):
    """A phase: its gradients (here one bucket), its numbers, and what all agree on, there and back."""
    steps = 3
    for answer in group.run(Request(name, str(tiny_pack), [2, 2], steps=steps)):
        assert answer.messages == {"send": 3 * 2 * phases * steps, "all_reduce": 0}
    for answer in group.run(Request(name, str(tiny_pack), [1, 1, 1, 1], steps=steps)):
        assert answer.messages == {"send": 3 * 2 * 3 * phases * steps, "all_reduce": 0}
    ddp = ["train.reducer=ddp", "train.reproducibility=rounding"]
    for answer in group.run(Request(name, str(tiny_pack), [2, 2], ddp, steps=steps)):
        assert answer.messages == {"send": 0, "all_reduce": 2 * phases * steps}  # beside DistributedDataParallel's own


def test_a_piece_leaves_before_the_next_is_computed_and_receiving_begins_with_the_phase(group, tiny_pack):
    first, second = group.run(Request("vae", str(tiny_pack), [3, 1], steps=2))
    sums = ["receive", "send"]
    assert first.events == ["receive", "microbatch", "microbatch", "send", "microbatch", "send", *sums]
    assert second.events == ["receive", "receive", "microbatch", "send", *sums]


@pytest.mark.parametrize(
    ("machines", "expected"),
    [
        (None, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]),
        ([1, 1, 2, 2], [[1], [0], [3], [2]]),
        ([1, 2, 1, 3], [[2], [], [0], []]),
        ([0, 0, 0, 0], [[], [], [], []]),  # where memory cannot be shared
    ],
)
@pytest.mark.parametrize("name", ["dcgan", "growing"])
def test_the_same_bits_through_memory_and_sockets(name, machines, expected, group, alone, packs):
    pack = str(pack_of(name, packs))
    answers = group.run(Request(name, pack, [1, 1, 1, 1], machines=machines))
    check(answers, alone[name])
    assert [list(answer.shares_memory_with) for answer in answers] == expected
    check(group.run(Request(name, pack, [1, 2, 1], machines=machines)), alone[name])  # with several pieces of a rank
