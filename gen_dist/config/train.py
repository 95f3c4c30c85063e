"""How it is trained: steps, batches, workers, records."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gen_dist.settings import Settings


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
    trace_steps: int = Field(
        0, ge=0, le=1000, description="steps, of a run's first ones, whose timeline is kept in trace.json for Perfetto"
    )

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
        None, description="microbatches each worker owns, in rank order, fixed; default: as cluster.balance says"
    )
    balance: Literal["auto", "equal"] = Field(
        "auto", description="auto: who computes faster owns more microbatches; equal: all as many; never the result"
    )
    object_store_mb: int = Field(200, ge=80, le=65536, description="Ray object store of a cluster started here, in MB")
    timeout_seconds: float = Field(
        120.0, ge=5, le=3600, description="the longest wait for a worker before it is given up"
    )

    @property
    def follows_speed(self) -> bool:
        """Whether ownership may change while the run goes on: shares that were given stay."""
        return self.balance == "auto" and self.shares is None


class WandbSettings(Settings):
    mode: Literal["auto", "offline", "online", "disabled"] = Field("auto", description="auto: online where logged in")
    project: str = Field("gen-dist", min_length=1, max_length=128, description="unless WANDB_PROJECT is set")
    entity: str | None = Field(None, description="user or team; default: the logged-in user's")
