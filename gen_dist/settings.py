"""What all groups of settings have in common: frozen, strict, no unknown keys."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Each field's description is its documentation."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
