"""What is told of a run: each figure by its name, with its interval, and what real images have in its place. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gen_dist.scores.estimate import Estimate

Better = Literal["lower", "higher", "as real", ""]


@dataclass(frozen=True)
class Kind:
    """`better`: which way is better; "as real": what real images have, in the floor; "": neither. `share`: 0 to 1."""

    title: str
    better: Better
    unit: str = ""
    share: bool = False


# By group, as `--scores` names them; each group is computed as a whole.
GROUPS: dict[str, dict[str, Kind]] = {
    "wasserstein": {"sliced_wasserstein": Kind("sliced Wasserstein × 1000", "lower")},
    "features": {
        "kernel_distance_lenet": Kind("kernel distance KD-lenet", "lower"),
        "frechet_distance_lenet": Kind("Fréchet distance FD-lenet", "lower"),
        "precision": Kind("precision (look real)", "higher", share=True),
        "recall": Kind("recall (real ones covered)", "higher", share=True),
    },
    "inception": {"fid": Kind("FID", "lower"), "kid": Kind("KID", "lower")},
    "diversity": {"ms_ssim": Kind("MS-SSIM between samples", "as real")},
    "memorisation": {
        "nearer_to_train": Kind("nearer to training images", "as real", share=True),
        "repeats": Kind("near repeats of these", "as real", share=True),
        "nearest_train": Kind("distance to training images", ""),
    },
    "likelihood": {
        "negative_elbo": Kind("negative ELBO", "lower", "nats"),
        "reconstruction": Kind("- reconstruction", "", "nats"),
        "kl": Kind("- KL", "", "nats"),
        "bits_per_dimension": Kind("bits per dimension", "lower"),
        "negative_bound": Kind("IWAE bound, K = 64", "lower", "nats"),
    },
    "reconstruction": {
        "psnr": Kind("PSNR of reconstructions", "higher", "dB"),
        "ssim": Kind("SSIM of reconstructions", "higher"),
        "active_units": Kind("latent values in use", ""),
    },
}
KINDS = {name: kind for group in GROUPS.values() for name, kind in group.items()}


@dataclass(frozen=True)
class Figure:
    """`floor`: what real images have, taken in the same way. `above`: how much more `estimate` is, part by part.

    `detail`: the figure's own parts, such as a distance on each level of a pyramid.
    """

    name: str
    estimate: Estimate
    floor: Estimate | None = None
    above: Estimate | None = None
    detail: Mapping[str, float | str] | None = None

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"value": self.estimate.value, "interval": _ends(self.estimate)}
        if self.floor is not None:
            found["real"] = {"value": self.floor.value, "interval": _ends(self.floor)}
        if self.above is not None:
            found["above_real"] = {"value": self.above.value, "interval": _ends(self.above)}
        if self.detail:
            found["detail"] = dict(self.detail)
        return found | {key: text for key, text in (("unit", self.kind.unit), ("better", self.kind.better)) if text}

    @classmethod
    def from_json(cls, name: str, found: Mapping[str, Any]) -> "Figure":
        """Raises KeyError, TypeError or ValueError for what `to_json` did not write."""
        if name not in KINDS:
            raise ValueError(name)
        floor, above = (_estimate(found[key]) if key in found else None for key in ("real", "above_real"))
        return cls(name, _estimate(found), floor, above, found.get("detail"))


def _ends(estimate: Estimate) -> list[float] | None:
    return None if estimate.low is None or estimate.high is None else [estimate.low, estimate.high]


def _estimate(found: Mapping[str, Any]) -> Estimate:
    ends = found["interval"]
    low, high = (None, None) if ends is None else (float(ends[0]), float(ends[1]))
    return Estimate(float(found["value"]), low, high)
