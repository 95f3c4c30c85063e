"""The stopwatch: every moment belongs to one part, whatever clock it goes by."""

import pytest

from gen_dist.engine.stopwatch import Stopwatch
from gen_dist.engine.tally import Asked, merge_paces, read_tally, write_tally


class StepByStep:
    """A clock whose stamps are known to be reached only up to `known`, as those of a GPU are."""

    def __init__(self):
        self.now, self.known = 0.0, float("inf")

    def stamp(self):
        self.now += 1.0
        return self.now

    def seconds(self, start, end):
        return end - start if end <= self.known else None


def through_a_phase(watch, phase):
    watch.begin(1, phase)  # other
    watch.mark("forward")
    watch.mark("backward")
    watch.mark("reduce")
    watch.end_phase()  # bookkeeping


def test_every_moment_belongs_to_one_part():
    watch = Stopwatch(StepByStep())
    through_a_phase(watch, "discriminator")
    through_a_phase(watch, "generator")
    watch.begin(2, "discriminator")
    taken = watch.take("discriminator")
    assert taken["other"] == taken["forward"] == taken["backward"] == taken["reduce"] == 1.0
    assert taken["bookkeeping"] == 2.0  # after both phases
    assert sum(taken.values()) + sum(watch.take("generator").values()) == 10.0
    assert sum(watch.take("generator").values()) == 0.0


def test_what_a_device_has_not_reached_comes_later():
    clock = StepByStep()
    watch = Stopwatch(clock)
    through_a_phase(watch, "vae")
    clock.known = 4.0
    taken = watch.take("vae")
    assert (taken["forward"], taken["backward"]) == (1.0, 0.0)
    clock.known = 9.0
    taken = watch.take("vae")
    assert (taken["forward"], taken["backward"]) == (0.0, 1.0)


def test_what_was_before_a_reset_is_forgotten():
    watch = Stopwatch(StepByStep())
    through_a_phase(watch, "vae")
    watch.reset()
    assert sum(watch.take("vae").values()) == 0.0


def test_what_is_traced_is_all_that_is_added_up():
    watch = Stopwatch(StepByStep())
    through_a_phase(watch, "vae")
    watch.take("vae")
    watch.kept = []
    through_a_phase(watch, "vae")
    taken = watch.take("vae")
    assert [span.part for span in watch.kept] == ["bookkeeping", "other", "forward", "backward", "reduce"]
    assert sum(span.seconds for span in watch.kept) == sum(taken.values())
    assert [span.start for span in watch.kept] == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert {span.step for span in watch.kept} == {1}


def tallies(*ranks, workers=2):
    return read_tally(sum(write_tally(*rank, number, workers) for number, rank in enumerate(ranks)))


def test_ranks_learn_of_each_others_times_and_wishes():
    tally = tallies(
        (Asked(), {"forward": 1.0, "backward": 3.0, "reduce": 0.5, "agree": 0.5, "microbatches": 4}),
        (Asked(stop=True), {"forward": 2.0, "backward": 6.0, "reduce": 0.1, "agree": 0.9, "microbatches": 2}),
    )
    assert (tally.stop, tally.pause, tally.knows) == (True, False, True)
    assert tally.pace.tolist() == [1.0, 4.0]
    assert tally.exchange == 0.1
    assert merge_paces([tally, tally]) == ((2.0, 8.0), 0.2)


@pytest.mark.parametrize("workers", [2, 3])
def test_a_step_with_unknown_times_has_no_pace(workers):
    """Of a first step, or where the ranks have changed between two phases."""
    known = tallies(*[(Asked(), {"forward": 1.0, "microbatches": 1})] * 2)
    unknown = tallies(*[(Asked(), {})] * workers, workers=workers)
    assert not unknown.knows
    assert not unknown.measured.any()
    assert merge_paces([known, unknown]) == ((0.0,) * workers, 0.0)
