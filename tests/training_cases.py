"""Small runs in this process, for tests of the engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from gen_dist.assignment import Assignment
from gen_dist.config import RunConfig
from gen_dist.data.pack import Pack
from gen_dist.engine.engine import Engine
from gen_dist.engine.hardware import Hardware, resolve_hardware
from gen_dist.engine.ownership import Ownership
from gen_dist.engine.reproducibility import resolve_reproducibility
from gen_dist.presets import load_config
from gen_dist.training import build_engine

ANY_CPU = Hardware("here", cuda=False, bf16_on_cpu=True, bf16_on_cuda=False)  # where it is emulated, slowly
SMALL = ["data.size=16", "train.device=cpu", "train.precision=fp32"]
VAE = ["model.latent=4", "model.width=4", "train.batch_size=16", "train.microbatch_size=4"]
DCGAN = ["model.latent=4", "model.generator_width=4", "model.discriminator_width=4", "train.batch_size=16",
         "train.microbatch_size=4", "train.ema_decay=0.9"]  # fmt: skip
GAN = ["model.latent=4", "train.batch_size=16", "train.microbatch_size=4"]

MOVES = ["data.augment.rotation=10", "data.augment.width_shift=0.1", "data.augment.height_shift=0.1",
         "data.augment.shear=5", "data.augment.zoom=0.1"]  # fmt: skip
COLORS = ["data.augment.brightness=0.2", "data.augment.contrast=0.2", "data.augment.saturation=0.2"]

# Every model, loss, regulariser, augmentation and setting that decides the weights: a test says which one has no row.
CASES = {
    "vae": ("vae-64", [*VAE, "model.dropout=0.3", "seed=3"]),
    "vae-bernoulli": ("vae-64", [*VAE, "objective.likelihood=bernoulli", "objective.beta=2", "train.ema_decay=0.9",
                                  "data.augment.fill_mode=wrap", *MOVES]),
    "dcgan": (
        "dcgan-64",
        [*DCGAN, "model.dropout=0.2", "objective.instance_noise=0.1", "data.augment.horizontal_flip=true",
         "data.augment.fill_mode=reflect", *MOVES],
    ),
    "dcgan-k2": (
        "dcgan-64",
        [*DCGAN, "objective.discriminator_steps=2", "objective.real_label=0.9", "optimizer.beta2=0.99",
         "optimizer.discriminator_learning_rate=4e-4", "data.augment.vertical_flip=true",
         "data.augment.fill_mode=constant", "data.augment.fill_value=200", "data.augment.crop_padding=2", *COLORS],
    ),
    "vae-bf16": ("vae-64", [*VAE, "train.precision=bf16"]),
    "dcgan-bf16": ("dcgan-64", [*DCGAN, "train.precision=bf16"]),
    "dcgan-two-threads": ("dcgan-64", [*DCGAN, "train.threads=2", "data.loader_threads=4"]),
    "vae-gray": ("vae-64", [*VAE, "data.augment.crop_padding=1", *COLORS]),
    "vae-jpeg": ("vae-64", [*VAE, "data.loader_threads=2"]),
    "dcgan-parts": ("dcgan-64", [*DCGAN, "data.augment.crop_scale=0.5"]),
    "dcgan-gray-parts-of-jpegs": (
        "dcgan-64",
        [*DCGAN, "data.augment.crop_scale=0.3", "data.augment.crop_ratio=2", "data.augment.rotation=10"],
    ),
    "vae-listed": ("vae-64", [
        *VAE, "model.layers=[4k3bn,8k4s2bn,fc16]", "model.activation=tanh", "objective.likelihood=gaussian",
        "objective.sigma=0.7", "objective.kl_warmup_steps=2", "objective.free_bits=0.1", "model.initial_weights=glorot",
        "optimizer.kind=rmsprop", "optimizer.momentum=0.5", "optimizer.epsilon=1e-7"]),
    "vae-mlp": ("vae-64", [
        *VAE, "model.layers=[fc16]", "model.activation=leaky_relu", "model.initial_weights=normal",
        "optimizer.kind=sgd", "optimizer.momentum=0.9", "optimizer.learning_rate=1e-6", "optimizer.schedule=linear",
        "optimizer.decay_steps=9", "optimizer.final_fraction=0.1", "optimizer.warmup_steps=2",
        "optimizer.clip_norm=1"]),
    "dcgan-hinge": ("dcgan-64", [
        *DCGAN, "model.up=resize", "model.generator_kernel=5", "model.discriminator_kernel=3", "model.dropout=0.2",
        "model.dropout_kind=channel", "model.discriminator_norm=spectral", "model.prior=uniform",
        "objective.loss=hinge", "objective.r1=1", "objective.r1_every=2",
        "optimizer.schedule=cosine", "optimizer.decay_steps=9"]),
    "dcgan-wgan-bf16": ("dcgan-64", [
        *DCGAN, "model.discriminator_norm=none", "objective.loss=wgan_gp", "train.precision=bf16"]),
    "dcgan-wgan": ("dcgan-64", [
        *DCGAN, "model.discriminator_norm=none", "objective.loss=wgan_gp", "objective.gradient_penalty=5"]),
    "dcgan-balance": ("dcgan-64", [
        *DCGAN, "objective.loss=least_squares", "objective.balance_margin=0.001", "objective.balance_steps=2"]),
    "gan-convolutional": ("gan-mnist32", [
        *GAN, "model.generator_layers=[fc8,map4fbn,4k3upbn,outk5up]", "model.discriminator_layers=[4k5avg,4k3s2bn,fc8]",
        "model.generator_activation=tanh", "model.discriminator_activation=leaky_relu", "model.norm_place=after",
        "data.channels=3", "data.prepare.gray=false"]),
    "gan-transposed": ("gan-mnist32", [
        *GAN, "model.generator_layers=[map8bn,4k4t2,outk4t2bn]", "model.discriminator_layers=[4k5validmax,8k2]",
        "model.generator_activation=leaky_relu", "model.discriminator_activation=relu", "data.channels=3",
        "data.prepare.gray=false"]),
    "gan-perceptron": ("gan-mnist32", [
        *GAN, "model.generator_layers=[fc16]", "model.discriminator_layers=[fc16]", "model.generator_activation=relu",
        "model.discriminator_activation=tanh", "model.norm_place=before", "data.channels=3",
        "data.prepare.gray=false"]),
    "sngan": ("sngan-64", [
        *DCGAN, "objective.diffaugment=[color,translation,cutout]", "model.blocks=residual", "train.precision=bf16"]),
    "sngan-one-stage": ("sngan-64", [
        *DCGAN, "model.blocks=plain", "objective.loss=bce", "objective.updates=one_stage", "objective.r1=1"]),
    "growing": ("dcgan-grow-64", [
        *DCGAN, "model.start_size=4", "model.stage_steps=1", "model.fade_steps=1"]),
    "dcgan-r1-bf16": ("dcgan-64", [  # R1, and the penalty of dcgan-wgan-bf16, are differentiated twice
        *DCGAN, "model.discriminator_norm=none", "objective.r1=1", "train.precision=bf16"]),
    "vaegan": ("vaegan-64", [
        *DCGAN, "model.encoder_width=4", "objective.beta=0.5", "objective.gamma=0.1",
        "objective.diffaugment=[translation]"]),
    "vae-seven-microbatches": ("vae-64", [*VAE, "train.batch_size=14", "train.microbatch_size=2"]),
}  # fmt: skip

# Rows that read another pack than "colour": kinds of the fixture `packs`.
PACKS = {"vae-gray": "gray", "vae-jpeg": "jpeg", "dcgan-gray-parts-of-jpegs": "jpeg gray"}


def pack_of(name: str, packs: Mapping[str, Path]) -> Path:
    """What a row trains on."""
    return packs[PACKS.get(name, "colour")]


def case(name: str, overrides: Sequence[str] = ()) -> RunConfig:
    preset, own = CASES[name]
    config = resolve_hardware(load_config(preset, [*SMALL, *own, *overrides]), [ANY_CPU])
    return resolve_reproducibility(config, [])[0]


def engine_of(config: RunConfig, pack: Path, resume: dict[str, bytes] | None = None) -> Engine:
    """One worker that owns all microbatches."""
    ownership = Ownership.equal(config.train.microbatches, 1)
    return build_engine(Assignment(config, pack, 0, ownership, resume), Pack.open(pack), lambda where: None)


def run_steps(engine: Engine, count: int) -> list[dict[str, float]]:
    return [engine.step().losses for _ in range(count)]
