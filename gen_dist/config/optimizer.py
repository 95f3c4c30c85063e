"""How gradients become steps of the weights."""

from typing import Literal

from pydantic import Field, model_validator

from gen_dist.settings import Settings


class OptimizerSettings(Settings):
    """One optimiser for each module, all of the same kind."""

    kind: Literal["adam", "rmsprop", "sgd"] = Field(
        "adam", description="Adam (Kingma and Ba 2014), RMSprop (Tieleman and Hinton 2012), or SGD with momentum"
    )
    learning_rate: float = Field(
        1e-3, gt=0, le=1, description="at its highest, of all modules but D, if that has its own"
    )
    discriminator_learning_rate: float | None = Field(
        None, gt=0, le=1, description="of D (Heusel et al. 2017: two time scales); default: learning_rate"
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="decay of Adam's first moment")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the mean squared gradient, of Adam and RMSprop")
    epsilon: float = Field(1e-8, gt=0, le=1, description="added to the root of the mean squared gradient")
    momentum: float = Field(0.0, ge=0, lt=1, description="of SGD and RMSprop")
    warmup_steps: int = Field(0, ge=0, description="steps over which the rate rises to its value")
    schedule: Literal["constant", "linear", "cosine"] = Field("constant", description="how the rate falls after that")
    decay_steps: int | None = Field(None, ge=1, description="steps after the warm-up over which it falls")
    final_fraction: float = Field(0.0, ge=0, le=1, description="of the rate, what is left after decay_steps")
    clip_norm: float = Field(0.0, ge=0, description="each module's gradient is scaled down to this norm; 0: never")

    @model_validator(mode="after")
    def decay_fits_schedule(self) -> "OptimizerSettings":
        if self.schedule != "constant" and self.decay_steps is None:
            raise ValueError(
                f"optimizer.schedule '{self.schedule}': needs optimizer.decay_steps, the steps over which the rate "
                "falls; give for example optimizer.decay_steps=10000"
            )
        if self.schedule == "constant" and self.decay_steps is not None:
            raise ValueError(
                f"optimizer.decay_steps {self.decay_steps}: not with optimizer.schedule 'constant'; "
                "use optimizer.schedule=linear or cosine, or optimizer.decay_steps=null"
            )
        return self

    def notice(self, steps: int) -> str | None:
        """What a user should know of a run of so many steps, in one line; no reason to refuse it."""
        if (
            self.decay_steps is None
            or self.final_fraction > 0
            or (end := self.warmup_steps + self.decay_steps) >= steps
        ):
            return None
        return (
            f"optimizer.decay_steps {self.decay_steps}: after step {end} of {steps} the learning rate is 0: nothing "
            f"is learnt; use optimizer.decay_steps={steps - self.warmup_steps}, or optimizer.final_fraction=0.1"
        )

    @model_validator(mode="after")
    def momentum_fits_kind(self) -> "OptimizerSettings":
        if self.momentum and self.kind == "adam":
            raise ValueError(
                f"optimizer.momentum {self.momentum}: not with optimizer.kind 'adam', which has optimizer.beta1; use "
                "optimizer.momentum=0, or optimizer.kind=sgd or rmsprop"
            )
        return self
