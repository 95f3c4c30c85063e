"""Every setting of a run: frozen, validated, documented. Knows neither torch nor ray.

Each field's description is its documentation.
Cross-field rules live in validators and raise ValueError with a message ready for the user.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gen_dist.kernels.limits import Limits


class Settings(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class AugmentSettings(Settings):
    """Random changes of each image, in this order, drawn anew each time it comes; zero and false mean none.

    Part of the image, moved crop, then the affine map as in Keras' ImageDataGenerator, flips, brightness, contrast,
    saturation.
    """

    horizontal_flip: bool = Field(False, description="mirror left-right, each image with probability 1/2")
    vertical_flip: bool = Field(False, description="mirror top-bottom, each image with probability 1/2")
    crop_scale: float = Field(
        1.0,
        gt=0,
        le=1,
        description="train on random parts of the image, of at least this share of its area; 1: all of it",
    )
    crop_ratio: float = Field(
        4 / 3, ge=1, le=16, description="of such parts, width to height, and height to width, at most"
    )
    crop_padding: int = Field(0, ge=0, le=512, description="move the image by up to this many pixels each way")
    rotation: float = Field(0.0, ge=0, le=180, description="rotate by up to this many degrees each way")
    width_shift: float = Field(0.0, ge=0, le=1, description="shift along the width by up to this fraction of it")
    height_shift: float = Field(0.0, ge=0, le=1, description="shift along the height by up to this fraction of it")
    shear: float = Field(0.0, ge=0, lt=90, description="shear by up to this many degrees each way")
    zoom: float = Field(0.0, ge=0, lt=1, description="per axis, by 1 - zoom to 1 + zoom; above 1 makes smaller")
    fill_mode: Literal["nearest", "reflect", "wrap", "constant"] = Field(
        "nearest", description="what comes in from outside when an image is moved"
    )
    fill_value: int = Field(0, ge=0, le=255, description="of the pixels that come in with fill_mode constant")
    brightness: float = Field(0.0, ge=0, le=1, description="multiply by a factor between 1 - this and 1 + this")
    contrast: float = Field(0.0, ge=0, le=1, description="stretch about the image's mean grey by such a factor")
    saturation: float = Field(0.0, ge=0, le=1, description="stretch about each pixel's grey by such a factor")


class DecodingSettings(Settings):
    """How foreign images are read when a folder is prepared, and how large they may be."""

    decoder: Literal["auto", "kernels", "libraries"] = Field(
        "auto",
        description="kernels: ours, for what they read; libraries: libjpeg-turbo, Pillow; auto: by folder size",
    )
    pixels: int = Field(100_000_000, ge=1, description="an image of more, width × height, is refused")
    side: int = Field(65_500, ge=1, le=65_535, description="an image that is wider or higher is refused")
    file_bytes: int = Field(400 << 20, ge=1, description="a longer file is refused")
    scans: int = Field(100, ge=1, description="a progressive JPEG that passes more often over the image is refused")
    inflated_bytes: int = Field(1 << 30, ge=1, description="a PNG whose pixels take more is refused")

    def limits(self) -> Limits:
        """What decoders and readers check."""
        return Limits(self.pixels, self.side, self.file_bytes, self.scans, self.inflated_bytes)


class PrepareSettings(Settings):
    """How a source becomes the square images of a pack."""

    crop: str = Field(
        "center",
        pattern=r"^(center|fit|stretch|pad|box:[0-9]{1,5},[0-9]{1,5},[0-9]{1,5},[0-9]{1,5})$",
        description="center | pad (all of it, in the middle) | fit (all of it, top left) | stretch | box:X,Y,W,H",
    )
    filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = Field(
        "lanczos", description="how pixels are averaged when the size changes; as Pillow's of that name"
    )
    gray: bool = Field(False, description="one channel, the luma, in place of three")
    background: str = Field(
        "white",
        pattern=r"^(white|black|gray|[0-9]{1,3},[0-9]{1,3},[0-9]{1,3})$",
        description="white | black | gray | R,G,B, behind transparent pixels and beside padded images",
    )
    frames: Literal["first", "all"] = Field("first", description="of an animated GIF, PNG or WebP")
    drop_duplicates: Literal["none", "exact", "near"] = Field(
        "none", description="leave out images equal to an earlier one, or nearly (perceptual hash)"
    )
    keep: Literal["pixels", "jpeg"] = Field(
        "pixels",
        description="jpeg: files of the images' own size, decoded while training, for random crops",
    )
    on_error: Literal["skip", "fail"] = Field("skip", description="what to do about a file that gives no image")
    every: int = Field(1, ge=1, description="of a video, take each so-manieth frame")
    fps: float | None = Field(None, gt=0, le=1000, description="of a video, take so many frames a second instead")


class DataSettings(Settings):
    path: str = Field("", description="a folder of images, a pack made by 'gen-dist prepare', or bundled:emoji")
    size: int = Field(64, ge=8, le=1024, description="side of the square training images, in pixels")
    augment: AugmentSettings = AugmentSettings()
    prepare: PrepareSettings = PrepareSettings()
    decoding: DecodingSettings = DecodingSettings()
    loader_threads: int = Field(1, ge=1, le=64, description="threads that fill batches, per worker")
    prefetch: int = Field(2, ge=1, le=16, description="batches kept ready ahead of the step, per worker")


class VAESettings(Settings):
    """Convolutional VAE: conv4 stride 2 with ghost batch norm and ReLU, mirrored."""

    family: Literal["vae"]
    latent: int = Field(128, ge=1, le=4096, description="size of the latent vector z")
    width: int = Field(32, ge=1, le=1024, description="channels of the first encoder layer, doubled at each next")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the encoder's last layer")


class DCGANSettings(Settings):
    """Radford et al. 2015, as in the PyTorch tutorial."""

    family: Literal["dcgan"]
    latent: int = Field(100, ge=1, le=4096, description="size of the latent vector z")
    generator_width: int = Field(64, ge=1, le=1024, description="ngf: channels before the generator's last layer")
    discriminator_width: int = Field(64, ge=1, le=1024, description="ndf: channels of the discriminator's first layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout after each discriminator block")
    instance_noise: float = Field(0.0, ge=0, le=2, description="standard deviation of noise added to D's input")


class VAEObjectiveSettings(Settings):
    """The evidence lower bound."""

    kind: Literal["vae"]
    likelihood: Literal["sigma", "bernoulli"] = Field(
        "sigma", description="sigma: Gaussian with the optimal shared variance (Rybkin et al. 2021); or bernoulli"
    )
    beta: float = Field(1.0, ge=0, le=1000, description="weight of the KL term (Higgins et al. 2017)")


class GANObjectiveSettings(Settings):
    """The non-saturating game."""

    kind: Literal["gan"]
    discriminator_steps: int = Field(1, ge=1, le=16, description="D steps a G step, each on its own real batch")
    real_label: float = Field(1.0, gt=0.5, le=1, description="one-sided label smoothing: target for real images")


class OptimizerSettings(Settings):
    learning_rate: float = Field(1e-3, gt=0, le=1, description="of Adam, fused")
    discriminator_learning_rate: float | None = Field(None, gt=0, le=1, description="default: learning_rate")
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of Adam's first moment")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of Adam's second moment")


class TrainSettings(Settings):
    steps: int = Field(10_000, ge=1, description="optimisation steps in all, not epochs")
    batch_size: int = Field(128, ge=1, description="global batch: images a step, whatever the number of workers")
    microbatch_size: int = Field(32, ge=1, description="images computed at once; the unit that workers own")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where all have it in hardware")
    reducer: Literal["auto", "tree", "ddp"] = Field(
        "auto", description="how gradients are summed: tree, the same bits on any workers; or ddp; auto: tree on CPU"
    )
    reproducibility: Literal["auto", "bitwise", "rounding"] = Field(
        "auto", description="bitwise: every worker proves that it gets the same bits; auto: that, where they do"
    )
    hash_every: int = Field(
        100, ge=1, description="steps between comparisons of the workers' states; in rounding, one state is sent to all"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where every worker has one")
    threads: int = Field(1, ge=1, le=64, description="torch threads per worker on CPU; part of the result's last bits")
    ema_decay: float = Field(0.0, ge=0, lt=1, description="average of the sampling network's weights; 0: none")
    checkpoint_every: int = Field(500, ge=1, description="steps between checkpoints; the last step always has one")
    keep_checkpoints: int = Field(3, ge=1, description="older checkpoints are deleted")
    sample_every: int = Field(500, ge=1, description="steps between pictures")
    log_every: int = Field(10, ge=1, description="steps between records; the first and the last always have one")

    @model_validator(mode="after")
    def batch_is_whole_microbatches(self) -> "TrainSettings":
        if self.batch_size % self.microbatch_size:
            near = max(1, round(self.batch_size / self.microbatch_size)) * self.microbatch_size
            raise ValueError(
                f"train.batch_size {self.batch_size}: not divisible by train.microbatch_size {self.microbatch_size}; "
                f"use for example train.batch_size={near}"
            )
        return self

    @model_validator(mode="after")
    def bitwise_is_possible(self) -> "TrainSettings":
        for name, value, instead in (("reducer", "ddp", "tree"), ("device", "cuda", "cpu")):
            if self.reproducibility == "bitwise" and getattr(self, name) == value:
                raise ValueError(
                    f"train.reproducibility 'bitwise': not with train.{name} '{value}'; use train.{name}={instead}, or "
                    "train.reproducibility=auto"
                )
        if self.reducer == "tree" and self.device == "cuda":
            raise ValueError("train.reducer 'tree': for CPUs; use train.reducer=ddp, or train.device=cpu")
        return self

    @property
    def microbatches(self) -> int:
        return self.batch_size // self.microbatch_size


class ClusterSettings(Settings):
    shares: list[Annotated[int, Field(ge=1)]] | None = Field(
        None, description="microbatches each worker owns, in rank order; default: as equal as possible"
    )
    object_store_mb: int = Field(200, ge=80, le=65536, description="Ray object store of a cluster started here, in MB")
    timeout_seconds: float = Field(120.0, ge=5, le=3600, description="a collective that waits longer fails the run")


class WandbSettings(Settings):
    mode: Literal["auto", "offline", "online", "disabled"] = Field("auto", description="auto: online where logged in")
    project: str = Field("gen-dist", min_length=1, max_length=128, description="unless WANDB_PROJECT is set")
    entity: str | None = Field(None, description="user or team; default: the logged-in user's")


class RunConfig(Settings):
    preset: str = Field("", description="name of the preset this configuration came from")
    seed: int = Field(0, ge=0, lt=2**63, description="the only source of randomness")
    data: DataSettings = DataSettings()
    model: Annotated[VAESettings | DCGANSettings, Field(discriminator="family")]
    objective: Annotated[VAEObjectiveSettings | GANObjectiveSettings, Field(discriminator="kind")]
    optimizer: OptimizerSettings = OptimizerSettings()
    train: TrainSettings = TrainSettings()
    cluster: ClusterSettings = ClusterSettings()
    wandb: WandbSettings = WandbSettings()

    @model_validator(mode="after")
    def parts_fit(self) -> "RunConfig":
        wanted = {"vae": "vae", "dcgan": "gan"}[self.model.family]
        if self.objective.kind != wanted:
            raise ValueError(
                f"objective.kind '{self.objective.kind}': model.family '{self.model.family}' needs '{wanted}'"
            )
        shares = self.cluster.shares
        if shares is not None and sum(shares) != self.train.microbatches:
            raise ValueError(
                f"cluster.shares {shares}: they sum to {sum(shares)}, but the batch has "
                f"{self.train.microbatches} microbatches; make them sum to {self.train.microbatches}"
            )
        base, _ = halvings(self.data.size)
        if not 4 <= base <= 7:
            near = nearest_size(self.data.size)
            raise ValueError(f"data.size {self.data.size}: must be 4, 5, 6 or 7 times a power of two; try {near}")
        return self


def halvings(size: int) -> tuple[int, int]:
    """Halve `size` until 4 to 7 pixels are left: (pixels left, number of halvings)."""
    count = 0
    while size > 7 and size % 2 == 0:
        size, count = size // 2, count + 1
    return size, count


def nearest_size(size: int) -> int:
    """The allowed image size nearest to `size`."""
    allowed = [base * 2**power for base in (4, 5, 6, 7) for power in range(1, 9)]
    return min((s for s in allowed if 8 <= s <= 1024), key=lambda s: (abs(s - size), s))


# What decides the weights. Everything else may change when a run is continued.
RESULT_FIELDS = ("seed", "data.size", "data.augment", "model", "objective", "optimizer", "train.batch_size",
                 "train.microbatch_size", "train.precision", "train.threads", "train.ema_decay")  # fmt: skip


def flatten(tree: dict, prefix: str = "") -> dict[str, object]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    flat: dict[str, object] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def result_settings(config: RunConfig) -> dict[str, object]:
    """The settings that decide the weights, flat: what a checkpoint must agree on."""
    flat = flatten(config.model_dump())
    return {k: v for k, v in flat.items() if any(k == f or k.startswith(f + ".") for f in RESULT_FIELDS)}
