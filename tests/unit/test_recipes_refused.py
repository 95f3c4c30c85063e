"""Settings that exclude each other: the whole message, and that what it proposes is accepted."""

import ast
import inspect
from types import ModuleType

import pytest
from pydantic import ValidationError

from gen_dist.config import RunConfig, objective, optimizer, run, train
from gen_dist.errors import UserError
from gen_dist.presets import apply_override, load_config, load_tree

SOURCES: tuple[ModuleType, ...] = (objective, optimizer, run, train)
MIXES = (
    "needs every image's own gradient, but model.discriminator_norm 'batch' mixes those of a microbatch; use "
    "model.discriminator_norm=none, or spectral"
)
SPECTRAL = ["model.discriminator_norm=spectral"]

# Preset, overrides; the message; what it proposes.
REFUSED = {
    "one stage with batch norm in D": (
        ["dcgan-64", "objective.updates=one_stage"],
        f"objective.updates 'one_stage': {MIXES}",
        SPECTRAL,
    ),
    "one stage with batch norm in D, from layers": (
        ["gan-mnist32", "objective.updates=one_stage"],
        f"objective.updates 'one_stage': {MIXES}",
        ["model.discriminator_norm=none"],
    ),
    "WGAN-GP with batch norm in D": (
        ["dcgan-64", "objective.loss=wgan_gp"],
        f"objective.loss 'wgan_gp': {MIXES}",
        SPECTRAL,
    ),
    "R1 with batch norm in D": (["dcgan-64", "objective.r1=10"], f"objective.r1 10.0: {MIXES}", SPECTRAL),
    "WGAN-GP's penalty with BCE": (
        ["gan-balanced64", "objective.gradient_penalty=10"],
        "objective.gradient_penalty 10.0: belongs to objective.loss 'wgan_gp', not to objective.loss 'bce'; use "
        "objective.loss=wgan_gp, or objective.gradient_penalty=null and, if need be, objective.r1; "
        "objective.loss=wgan_gp needs objective.balance_margin=0 too",
        ["objective.gradient_penalty=null", "objective.r1=10"],
    ),
    "smoothed labels with hinge": (
        ["sngan-64", "objective.real_label=0.9"],
        "objective.real_label 0.9: objective.loss 'hinge' has no labels to smooth; use objective.real_label=1, or "
        "objective.loss=bce",
        ["objective.loss=bce"],
    ),
    "smoothed labels with WGAN-GP": (
        ["sngan-64", "objective.real_label=0.9", "objective.loss=wgan_gp"],
        "objective.real_label 0.9: objective.loss 'wgan_gp' has no labels to smooth; use objective.real_label=1, or "
        "objective.loss=bce",
        ["objective.real_label=1"],
    ),
    "balance of WGAN-GP's losses": (
        ["gan-balanced64", "objective.loss=wgan_gp"],
        "objective.balance_margin 0.1: the losses of objective.loss 'wgan_gp' cannot be compared; use "
        "objective.balance_margin=0, or objective.loss=bce",
        ["objective.balance_margin=0"],
    ),
    "balance of hinge losses": (
        ["gan-balanced64", "objective.loss=hinge"],
        "objective.balance_margin 0.1: the losses of objective.loss 'hinge' cannot be compared; use "
        "objective.balance_margin=0, or objective.loss=bce",
        ["objective.balance_margin=0"],
    ),
    "balance beside k D steps": (
        ["gan-balanced64", "objective.discriminator_steps=2"],
        "objective.balance_margin 0.1: decides how many D steps there are, and objective.discriminator_steps 2 too; "
        "use objective.discriminator_steps=1",
        ["objective.discriminator_steps=1"],
    ),
    "hinge in one stage": (
        ["dcgan-one-stage-64", "objective.loss=hinge"],
        "objective.updates 'one_stage': objective.loss 'hinge' gives D no gradient for some fakes, from which G's "
        "could be made; use objective.loss=bce, or objective.updates=alternating",
        ["objective.updates=alternating"],
    ),
    "least squares in one stage": (
        ["dcgan-one-stage-64", "objective.loss=least_squares"],
        "objective.updates 'one_stage': objective.loss 'least_squares' gives D no gradient for some fakes, from which "
        "G's could be made; use objective.loss=bce, or objective.updates=alternating",
        ["objective.loss=bce"],
    ),
    "k D steps in one stage": (
        ["dcgan-one-stage-64", "objective.discriminator_steps=2"],
        "objective.updates 'one_stage': one phase trains both, so objective.discriminator_steps 2 has no meaning; use "
        "objective.discriminator_steps=1, or objective.updates=alternating",
        ["objective.updates=alternating"],
    ),
    "balance in one stage": (
        ["dcgan-one-stage-64", "objective.balance_margin=0.1"],
        "objective.updates 'one_stage': one phase trains both, so objective.balance_margin 0.1 has no meaning; use "
        "objective.balance_margin=0, or objective.updates=alternating",
        ["objective.balance_margin=0"],
    ),
    "a size that a generator's doublings miss": (
        ["gan-balanced64", "data.size=50"],
        "data.size 50: model.generator_layers doubles the side 4 times, so it must be divisible by 16; use "
        "data.size=48 or data.size=64",
        ["data.size=48"],
    ),
    "a size of which a discriminator's layers leave nothing": (
        ["dcgan-faces32", "data.size=8"],
        "model.discriminator_layers '128k5validmax': cannot be applied to the 4 x 4 pixels that the layers before it "
        "leave of data.size 8; use data.size=12",
        ["data.size=12"],
    ),
    "sigma of another likelihood": (
        ["vae-64", "objective.sigma=0.5"],
        "objective.sigma 0.5: not with objective.likelihood 'sigma'; use objective.likelihood=gaussian, or "
        "objective.sigma=null",
        ["objective.likelihood=gaussian"],
    ),
    "sigma of a preset's likelihood": (
        ["vae-mnist-fc", "objective.likelihood=bernoulli"],
        "objective.sigma 0.2179: not with objective.likelihood 'bernoulli'; use objective.likelihood=gaussian, or "
        "objective.sigma=null",
        ["objective.sigma=null"],
    ),
    "a GAN's objective for another model": (
        ["vaegan-64", "objective.kind=gan"],
        "objective.kind 'gan': model.family 'vaegan' needs 'vaegan'; use objective.kind=vaegan",
        ["objective.kind=vaegan"],
    ),
    "a schedule without its end": (
        ["vae-64", "optimizer.schedule=cosine"],
        "optimizer.schedule 'cosine': needs optimizer.decay_steps, the steps over which the rate falls; give for "
        "example optimizer.decay_steps=10000",
        ["optimizer.decay_steps=10000"],
    ),
    "an end without a schedule": (
        ["vae-64", "optimizer.decay_steps=10"],
        "optimizer.decay_steps 10: not with optimizer.schedule 'constant'; use optimizer.schedule=linear or cosine, or "
        "optimizer.decay_steps=null",
        ["optimizer.schedule=linear"],
    ),
    "a preset's schedule taken away": (
        ["vae-64-sharp", "optimizer.schedule=constant"],
        "optimizer.decay_steps 24500: not with optimizer.schedule 'constant'; use optimizer.schedule=linear or cosine, "
        "or optimizer.decay_steps=null",
        ["optimizer.decay_steps=null"],
    ),
    "a change named twice": (
        ["dcgan-64", "objective.diffaugment=[color,translation,color]"],
        "objective.diffaugment ['color', 'translation', 'color']: names a change twice; use "
        "objective.diffaugment=[color,translation]",
        ["objective.diffaugment=[color,translation]"],
    ),
    "momentum beside Adam's own": (
        ["dcgan-64", "optimizer.momentum=0.9"],
        "optimizer.momentum 0.9: not with optimizer.kind 'adam', which has optimizer.beta1; use optimizer.momentum=0, "
        "or optimizer.kind=sgd or rmsprop",
        ["optimizer.kind=sgd"],
    ),
    "a discriminator's rate without a discriminator": (
        ["vae-64", "optimizer.discriminator_learning_rate=1e-4"],
        "optimizer.discriminator_learning_rate 0.0001: model.family 'vae' has no discriminator; use "
        "optimizer.discriminator_learning_rate=null, and optimizer.learning_rate",
        ["optimizer.discriminator_learning_rate=null"],
    ),
    "a batch of no whole microbatches": (
        ["vae-64", "train.batch_size=100"],
        "train.batch_size 100: not divisible by train.microbatch_size 32; use for example train.batch_size=96",
        ["train.batch_size=96"],
    ),
    "bitwise with ddp": (
        ["vae-64", "train.reproducibility=bitwise", "train.reducer=ddp"],
        "train.reproducibility 'bitwise': not with train.reducer 'ddp'; use train.reducer=tree, or "
        "train.reproducibility=auto",
        ["train.reducer=tree"],
    ),
    "tree on GPUs": (
        ["vae-64", "train.reducer=tree", "train.device=cuda"],
        "train.reducer 'tree': for CPUs; use train.reducer=ddp, or train.device=cpu",
        ["train.reducer=ddp"],
    ),
    "shares that do not sum up": (
        ["vae-64", "cluster.shares=[3, 2]"],
        "cluster.shares [3, 2]: they sum to 5, but the batch has 4 microbatches; make them sum to 4",
        ["cluster.shares=[2, 2]"],
    ),
}


@pytest.mark.parametrize("row", REFUSED)
def test_refused_with_what_would_do(row):
    (preset, *overrides), message, instead = REFUSED[row]
    with pytest.raises(UserError) as caught:
        load_config(preset, overrides)
    assert str(caught.value) == message
    load_config(preset, [*overrides, *instead])


def test_every_refusal_has_a_row():
    """Each `raise` of the validators is reached by one."""
    assert raises_of_sources() - raised_by_rows() == set()


def raises_of_sources() -> set[tuple[str, int]]:
    return {
        (module.__name__, node.lineno)
        for module in SOURCES
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Raise)
    }


def raised_by_rows() -> set[tuple[str, int]]:
    reached = set()
    for (preset, *overrides), _, _ in REFUSED.values():
        tree, _ = load_tree(preset)
        for override in overrides:
            apply_override(tree, override)
        with pytest.raises(ValidationError) as caught:
            RunConfig.model_validate(tree)
        trace = caught.value.errors()[0]["ctx"]["error"].__traceback__
        while trace.tb_next:
            trace = trace.tb_next
        reached.add((trace.tb_frame.f_globals["__name__"], trace.tb_lineno))
    return reached
