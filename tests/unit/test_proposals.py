"""What a refusal proposes works: for every preset, whatever excludes what it has."""

import re

import pytest

from gen_dist.errors import UserError
from gen_dist.presets import load_config, preset_names
from gen_dist.proposals import MOST, completed, proposed

EXCLUDING = ["objective.loss=wgan_gp", "objective.loss=hinge", "objective.loss=least_squares", "objective.r1=10",
             "objective.updates=one_stage", "objective.gradient_penalty=3", "objective.balance_margin=0.1",
             "objective.discriminator_steps=2", "objective.real_label=0.9", "objective.sigma=1", "data.size=50",
             "optimizer.discriminator_learning_rate=1e-3", "cluster.shares=[1, 2]"]  # fmt: skip


@pytest.mark.parametrize("override", EXCLUDING)
def test_what_a_refusal_proposes_is_accepted(override):
    for preset in preset_names():
        try:
            load_config(preset, [override])
        except UserError as error:
            refusal = str(error)
        else:
            continue
        first = proposed(refusal)
        if first is None:  # a key that this kind has not
            assert re.search("unknown|has none|make them sum", refusal), refusal
            continue
        needed = re.search(r" needs (.*) too$", refusal)
        load_config(preset, [override, first, *(needed[1].split() if needed else [])])


def test_what_is_needed_beside_the_first_proposal_is_told():
    refusals = {
        (): "a.b 1: no; use a.c=2, or a.b=0",
        ("a.c=2",): "a.d 1: no; set a.e=[x, y]",
        ("a.c=2", "a.e=[x, y]"): None,
    }
    assert completed(refusals[()], lambda settings: refusals[tuple(settings)]) == (
        "a.b 1: no; use a.c=2, or a.b=0; a.c=2 needs a.e=[x, y] too"
    )


@pytest.mark.parametrize("following", ["no way out", "a.b 1: no; use a.c=2"])
def test_a_proposal_that_leads_nowhere_adds_nothing(following):
    refusal = "a.b 1: no; use a.c=2"
    assert completed(refusal, lambda settings: following) == refusal


def test_no_proposal_is_of_endless_length():
    asked = []

    def refusal_of(settings):
        asked.append(len(settings))
        return f"no; use a.b{len(settings)}=1"

    assert completed("no; use a.b=1", refusal_of) == "no; use a.b=1"
    assert max(asked) == MOST
