"""What a checkpoint must agree on with the run that continues it."""

from collections.abc import Mapping
from typing import Any

from gen_dist.config import RunConfig, result_settings
from gen_dist.data.pack import Pack
from gen_dist.errors import UserError


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
    differing = [
        f"{key} {saved.get(key, 'missing')!r} there, {wanted.get(key, 'missing')!r} here"
        for key in sorted(saved.keys() | wanted.keys())
        if saved.get(key) != wanted.get(key)
    ]
    if differing:
        raise UserError(
            f"checkpoint {where}: from another run ({'; '.join(differing)}); give the same settings, "
            "or start a new run from its weights with --init-from"
        )
