"""What a checkpoint is made of, and what it must agree on with the run that continues it. Needs no torch."""

import json
from collections.abc import Mapping
from typing import Any

from gen_dist.config import RunConfig, result_settings
from gen_dist.data.pack import Pack
from gen_dist.errors import UserError

FORMAT = 1
SIZES = ("data.size", "channels")  # with the model's own settings, what decides its tensors
WEIGHTS, EMA, OPTIMIZER, STATE = "weights.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json"


def read_facts(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The JSON part of a checkpoint.

    Raises:
        UserError: missing, not JSON, or of another format.
    """
    try:
        facts = json.loads(files[STATE])
        known = facts["format"] == FORMAT and isinstance(facts["step"], int)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"checkpoint file {STATE}: missing or corrupt; use an older checkpoint") from None
    if not known:
        raise UserError(f"checkpoint file {STATE}: format {facts['format']!r}; this version reads format {FORMAT}")
    return facts


def checkpoint_facts(config: RunConfig, pack: Pack) -> dict[str, Any]:
    """The JSON beside the tensors: all that decides the weights, so that a foreign checkpoint is recognised."""
    return {"settings": result_settings(config), "channels": pack.shape[2], "data_hash": pack.content_hash}


def check_checkpoint(facts: Mapping[str, Any], expected: Mapping[str, Any], where: str) -> None:
    """Refuse a checkpoint of another run.

    Raises:
        UserError: names every field that differs, with both values.
    """
    saved = {**facts.get("settings", {}), **{k: facts.get(k) for k in ("channels", "data_hash")}}
    wanted = {**expected["settings"], **{k: expected[k] for k in ("channels", "data_hash")}}
    differing = differences(saved, wanted)
    if differing:
        raise UserError(
            f"checkpoint {where}: from another run ({differing}); give the same settings, "
            "or start a new run from its weights with --init-from"
        )


def differences(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The fields that differ, each with both values, or nothing."""
    return "; ".join(
        f"{key} {saved.get(key, 'missing')!r} there, {wanted.get(key, 'missing')!r} here"
        for key in sorted(saved.keys() | wanted.keys())
        if saved.get(key) != wanted.get(key)
    )


def check_weights(files: Mapping[str, bytes], config: RunConfig, channels: int, run: str) -> None:
    """Refuse the weights of another model as the start of a new run.

    Raises:
        UserError: names what decides the tensors' names and shapes and differs, with both values.
    """
    from gen_dist.engine.state import check_tensors, flatten_modules, read_tensors  # torch, which a start does without
    from gen_dist.models.build import construct

    try:
        check_tensors(WEIGHTS, read_tensors(WEIGHTS, files), flatten_modules(construct(config, channels)))
    except UserError as error:
        facts = read_facts(files)
        saved = {**facts.get("settings", {}), "channels": facts.get("channels")}
        wanted = {**result_settings(config), "channels": channels}
        model = [{k: v for k, v in s.items() if k.startswith("model.") or k in SIZES} for s in (saved, wanted)]
        if not (differing := differences(*model)):
            raise
        raise UserError(f"--init-from {run}: weights of another model ({differing}); give the same") from error
