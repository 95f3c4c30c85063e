"""What a step does, counted: passes over the networks, casts, what is allocated anew. Clocks would only say that it is
slower; and not on a busy machine."""

from collections import Counter
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from gen_dist.engine.engine import Engine
from gen_dist.engine.tally import Asked
from gen_dist.engine.tree_reducer import TreeReducer
from tests.training_cases import case, engine_of, pack_of


class Operations(TorchDispatchMode):
    """Counts what torch computes; convolutions by direction and by which gradients they make."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(function)
        self.counts["all"] += 1
        if name == "aten.convolution.default":
            self.counts["forward"] += 1
        elif name == "aten.convolution_backward.default":
            input_wanted, weight_wanted, _ = args[-1]
            self.counts["to input"] += input_wanted
            self.counts["to weight"] += weight_wanted
        elif name == "aten._to_copy.default" and (kwargs or {}).get("dtype") == torch.bfloat16:
            self.counts[f"cast {tuple(args[0].shape)}"] += 1
        elif name == "aten._to_copy.default" and args[0].dtype == torch.bfloat16:
            self.counts[f"back {tuple(args[0].shape)}"] += 1
        return function(*args, **(kwargs or {}))


def settled(name: str, packs: dict, *overrides: str) -> Engine:
    """After steps that set up what later ones use."""
    engine = engine_of(case(name, list(overrides)), pack_of(name, packs))
    for _ in range(3):
        engine.step()
    return engine


def count_phases(engine: Engine) -> dict[str, Counter[str]]:
    """Of the next step."""
    found = {}
    while (phase := engine.objective.next_phase(engine.state.step, engine.committed)) is not None:
        with Operations() as operations:
            engine.run_phase(len(engine.committed), phase, Asked())
        found[phase.name] = operations.counts
    return found


def convolutions(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in module.modules())


def test_passes_over_the_networks(packs):
    """G makes images for D without gradients; D's weights get none while G is trained."""
    engine = settled("dcgan", packs, "train.precision=fp32")
    phases = count_phases(engine)
    microbatches = engine.loader.batching.microbatches
    d, g = (convolutions(engine.state.modules[name]) for name in ("discriminator", "generator"))
    assert d > 1
    assert g > 1

    def passes(name: str) -> list[float]:
        return [phases[name][kind] / microbatches for kind in ("forward", "to input", "to weight")]

    assert passes("discriminator") == [g + 2 * d, 2 * (d - 1), 2 * d]  # nothing before the first layer wants a gradient
    assert passes("generator") == [g + d, d + g - 1, g]  # D's images want one, z does not


def weight_shapes(engine: Engine) -> Counter[tuple[int, ...]]:
    return Counter(
        tuple(layer.weight.shape)
        for module in engine.state.modules.values()
        for layer in module.modules()
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)
    )


@pytest.mark.parametrize("name", ["dcgan-bf16", "vae-bf16"])
def test_each_weight_is_cast_once_a_phase(name, packs):
    engine = settled(name, packs)
    shapes = weight_shapes(engine)
    assert engine.loader.batching.microbatches > 1
    for counts in count_phases(engine).values():
        assert {shape: counts[f"cast {shape}"] for shape in shapes} == dict(shapes)


@pytest.mark.parametrize("name", ["dcgan-bf16", "vae-bf16", "dcgan-r1-bf16", "dcgan-wgan-bf16"])
def test_gradients_added_as_bfloat16_give_the_bits_of_those_made_float32_before(name, packs, monkeypatch):
    def made_float32_and_state() -> tuple[int, str]:
        engine = settled(name, packs)
        shapes, phases = weight_shapes(engine), count_phases(engine).values()
        return sum(counts[f"back {shape}"] for counts in phases for shape in shapes), engine.state.hash()

    none, state = made_float32_and_state()
    monkeypatch.setattr(TreeReducer, "receive", None)
    some, same_state = made_float32_and_state()
    assert none == 0 < some
    assert state == same_state


@pytest.mark.parametrize("name", ["dcgan", "vae", "vae-mlp", "sngan"])
def test_a_step_does_what_the_one_before_did(name, packs):
    engine = settled(name, packs)
    first, second = ({phase: counts["all"] for phase, counts in count_and_end(engine).items()} for _ in range(2))
    assert first == second


def count_and_end(engine: Engine) -> dict[str, Counter[str]]:
    found = count_phases(engine)
    engine.step()  # there is no phase left
    return found


@pytest.mark.parametrize("name", ["dcgan", "vae"])
def test_gradients_and_images_are_written_where_they_were(name, packs):
    engine = settled(name, packs)

    def places() -> tuple[list[int], set[int]]:
        parameters = [p for module in engine.state.modules.values() for p in module.parameters() if p.grad is not None]
        loaded = engine.loader.get(engine.state.step, 0, range(engine.loader.batching.microbatches))
        return [p.grad.data_ptr() for p in parameters], {m.images.data_ptr() for m in loaded}

    seen = []
    for _ in range(6):
        seen.append(places())
        engine.step()
    gradients, images = zip(*seen, strict=True)
    assert gradients[0]
    assert all(each == gradients[0] for each in gradients)
    assert len(set.union(*images)) < 6 * len(images[0])
