"""A step that is cut off anywhere goes on to the same bits, and who is a phase behind catches up by itself."""

from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import pytest

from gen_dist.assignment import Assignment
from gen_dist.engine.engine import Engine
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.tally import Asked
from gen_dist.events import CheckpointReady, Message, Pictures, StepDone
from gen_dist.standing import Place, Standing
from gen_dist.training import Ending, Trainer
from tests.training_cases import case, pack_of

pytestmark = pytest.mark.usefixtures("one_thread")
OVERRIDES = ["train.steps=4", "train.checkpoint_every=2", "train.sample_every=4", "train.log_every=1"]
STAGES = ("data", "compute", "reduce", "agree")  # before anything is committed


class CutOff(Exception):
    pass


def trainer_of(name, packs, send, watch=lambda where: None) -> Trainer:
    config = case(name, OVERRIDES)
    return Trainer(
        Assignment(config, pack_of(name, packs), 0, Ownership.equal(config.train.microbatches, 1)), send, watch
    )


def places(trainer: Trainer, standing: Standing | None = None, reports: bool = True, recorded: int = 0) -> Place:
    return Place(0, trainer.assignment.ownership, standing or trainer.standing, reports, recorded)


@pytest.fixture(scope="module")
def whole(packs):
    """The hash of the last state and the events of a run that is left alone, by case."""
    found = {}
    for name in ("dcgan-balance", "sngan"):
        sent = []
        trainer = trainer_of(name, packs, sent.append)
        trainer.join(places(trainer), None)
        assert trainer.run(Asked) is Ending.FINISHED
        found[name] = trainer.engine.state.hash(), sent
        trainer.close()
    return found


def figures(sent):
    return {event.step: event.losses for event in sent if isinstance(event, StepDone)}


@pytest.mark.parametrize("name", ["dcgan-balance", "sngan"])
@pytest.mark.parametrize("stage", STAGES)
def test_cut_off_in_every_phase_it_goes_on_to_the_same_bits(name, stage, packs, whole):
    cut, sent = set(), []

    def watch(where):
        if where.stage == stage and (place := (where.step, trainer.standing.committed)) not in cut:
            cut.add(place)
            raise CutOff

    trainer = trainer_of(name, packs, sent.append, watch)
    while True:
        trainer.join(places(trainer), None)
        with suppress(CutOff):
            trainer.run(Asked)
            break
    trainer.close()
    state, events = whole[name]
    assert len(cut) >= 8  # two phases at least in each of four steps
    assert trainer.engine.state.hash() == state
    assert figures(sent) == figures(events)


def test_who_is_behind_commits_what_it_holds(packs, whole):
    """Cut off while it waits for the others to agree, though they have agreed."""

    def watch(where):
        if (
            (where.step, where.phase, where.stage) == (2, "generator", "agree")
            and trainer.standing.step == 1
            and not done
        ):
            done.append(where)
            raise CutOff

    done = []
    trainer = trainer_of("sngan", packs, lambda event: None, watch)
    trainer.join(places(trainer), None)
    with pytest.raises(CutOff):
        trainer.run(Asked)
    assert trainer.standing == Standing(1, True, 1)
    trainer.join(places(trainer, Standing(2, True, 0)), None)
    assert trainer.standing == Standing(2, True, 0)
    trainer.run(Asked)
    trainer.close()
    assert trainer.engine.state.hash() == whole["sngan"][0]


def test_who_holds_nothing_cannot_catch_up(packs):
    trainer = trainer_of("sngan", packs, lambda event: None)
    with pytest.raises(RuntimeError, match="too far to catch up"):
        trainer.join(places(trainer, Standing(0, True, 1)), None)
    trainer.close()


def test_another_reporter_tells_what_the_record_lacks(packs, whole):
    """It has kept the numbers of all steps; pictures and a checkpoint it makes of the weights that it still has."""
    sent = []
    silent = trainer_of("sngan", packs, sent.append)
    silent.join(places(silent, reports=False), None)
    silent.run(lambda: Asked(pause=silent.engine.state.step == 1))  # let go after the second step
    assert (silent.standing, sent) == (Standing(2, True, 0), [])
    silent.join(places(silent, recorded=1), None)
    assert [type(event) for event in sent] == [StepDone, CheckpointReady]
    silent.run(Asked)
    silent.close()
    told = whole["sngan"][1]
    assert figures(sent) == {step: losses for step, losses in figures(told).items() if step > 1}
    assert [e.step for e in sent if isinstance(e, Pictures)] == [e.step for e in told if isinstance(e, Pictures)]
    assert [e.step for e in sent if isinstance(e, CheckpointReady)] == [2, 4]


def test_a_snapshot_makes_a_newcomer_one_of_them(packs, whole):
    old, new = (trainer_of("sngan", packs, lambda event: None) for _ in range(2))
    old.join(places(old), None)
    old.run(lambda: Asked(pause=old.engine.state.step == 1))
    new.adopt(old.snapshot())
    assert new.standing == old.standing
    new.join(places(new, recorded=2), None)
    new.run(Asked)
    assert new.engine.state.hash() == whole["sngan"][0]
    old.close()
    new.close()


@pytest.mark.parametrize("name", ["dcgan-balance", "sngan"])
def test_who_follows_the_journal_has_the_same_state(name, packs, whole):
    lent = []

    def between_steps(trainer):
        if trainer.engine.state.step == 1:
            lent.append(trainer.lend())

    old = trainer_of(name, packs, lambda event: None)
    old.between_steps = between_steps
    new = trainer_of(name, packs, lambda event: None)
    old.join(places(old), None)
    old.run(lambda: Asked(pause=old.engine.state.step == 2))
    new.adopt(lent[0])
    entries = old.engine.journal.take()
    new.follow(entries)
    assert new.standing == old.standing == Standing(3, True, 0)
    assert new.engine.state.hash() == old.engine.state.hash()
    with pytest.raises(ValueError, match="here phase 1 of step 4 comes next"):
        new.follow([replace(entries[0], step=7)])
    new.join(places(new, recorded=3), None)
    new.run(Asked)
    assert new.engine.state.hash() == whole[name][0]
    old.close()
    new.close()


def test_a_journal_that_nobody_takes_is_given_up(packs):
    trainer = trainer_of("sngan", packs, lambda event: None)
    trainer.join(places(trainer), None)
    trainer.lend()
    journal = trainer.engine.journal
    journal.room = 1.0
    trainer.run(Asked)
    assert journal.take() is None
    assert not journal.entries
    trainer.close()


def test_engines_between_groups_keep_no_program_of_the_former(packs):
    trainer = trainer_of("sngan", packs, lambda event: None)
    trainer.join(places(trainer), None)
    engine: Engine = trainer.engine
    engine.step()
    assert engine.programs
    trainer.unsettled = None
    trainer.join(places(trainer), None)
    assert not engine.programs
    assert not engine.before
    assert not engine.stopwatch.marks
    trainer.close()


def test_what_ranks_of_a_former_group_took_says_nothing_of_those_of_the_next(packs):
    """One that is lost while states are compared leaves a report of more ranks than are left."""
    trainer = trainer_of("sngan", packs, lambda event: None)
    trainer.join(places(trainer), None)
    trainer.unsettled = replace(trainer.engine.step(Asked()), pace=(1.0, 1.0, 1.0))
    two = Ownership.equal(trainer.config.train.microbatches, 2)
    trainer.join(Place(0, two, trainer.standing, True, 0), None)
    assert trainer.balancer is not None
    trainer.settle(None)
    trainer.close()


def test_a_change_of_shares_is_in_the_log(packs):
    sent = []
    trainer = trainer_of("sngan", packs, sent.append)
    trainer.join(places(trainer), None)
    rest = trainer.engine.ownership.microbatches - 1
    changed = Ownership.from_shares([1, rest])
    trainer.balancer = SimpleNamespace(note=lambda pace, exchange: changed)
    trainer.unsettled = replace(trainer.engine.step(), pace=(9.0, 1.0))
    trainer.settle(None)
    assert trainer.engine.ownership == changed
    told = Message(f"step 1: as fast as they are, ranks now own 1, {rest} microbatches", detail=True)
    assert [event for event in sent if isinstance(event, Message)] == [told]
    trainer.close()
