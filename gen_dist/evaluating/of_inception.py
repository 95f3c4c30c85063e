"""FID and KID: distances of samples to real images as Inception sees both, with weights that the user has brought."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from gen_dist.evaluating.context import Context, Need
from gen_dist.evaluating.crew import Job
from gen_dist.evaluating.figures import Figure
from gen_dist.evaluating.jobs import frechet_of_parts, kernel_of_part
from gen_dist.evaluating.of_samples import beside
from gen_dist.scores.estimate import of_jackknife

NEEDED = "needs Inception's weights: --inception FILE.safetensors, see docs/results.md"


class OfInception:
    """KID, which has no bias, is taken on each part. FID falls as images are added, so that only that of all images
    compares with what others tell of as many; what it would be without each part says how sure it is."""

    needs: frozenset[Need] = frozenset({"samples", "inception"})

    def refusal(self, context: Context) -> str | None:
        return NEEDED if context.inception is None else None

    def jobs(self, context: Context) -> list[Job]:
        samples, reference, real = context.looks
        jobs = []
        for ours in (samples, real):
            jobs += [
                Job(kernel_of_part, (some, wanted, context.seed)) for some, wanted in zip(ours, reference, strict=True)
            ]
            jobs += [
                Job(frechet_of_parts, (*left_out(ours, part), *left_out(reference, part)))
                for part in all_and_each(len(ours))
            ]
        return jobs

    def figures(self, found: Sequence[float], context: Context) -> list[Figure]:
        assert context.inception is not None  # refused otherwise
        parts, values = len(context.samples), iter(found)
        kernels, frechets = [], []
        for _ in range(2):
            kernels.append(list(islice(values, parts)))
            frechets.append(list(islice(values, len(all_and_each(parts)))))
        which = {"inception": context.inception.fingerprint}
        (whole, *without), (whole_real, *without_real) = frechets
        more = [a - b for a, b in zip(without, without_real, strict=True)]
        fid = Figure("fid", of_jackknife(whole, without), of_jackknife(whole_real, without_real),
                     of_jackknife(whole - whole_real, more), which)  # fmt: skip
        return [fid, beside("kid", kernels[0], kernels[1], which)]


def all_and_each(parts: int) -> list[int | None]:
    """Which part is left out: none, then each, unless it is the only one."""
    return [None, *(range(parts) if parts > 1 else ())]


def left_out(parts: Sequence[Any], part: int | None) -> list[Any]:
    return [one for number, one in enumerate(parts) if number != part]
