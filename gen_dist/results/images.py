"""The images that a run's model is shown: those that it was trained on, or others made like them."""

from collections.abc import Callable

from gen_dist.data.pack import Pack
from gen_dist.errors import UserError
from gen_dist.preparing.few import without_video
from gen_dist.preparing.resolving import resolve_data
from gen_dist.results.trained import Trained


def open_images(trained: Trained, path: str | None, report: Callable[[str], None]) -> Pack:
    """The pack or source at `path` (`--data`), prepared as the run's own; those where it is None.

    Raises:
        UserError: there is nothing usable, or images of another kind than the model's.
    """
    data = trained.config.data
    if path is not None:
        data = without_video(data)
        prepare = data.prepare.model_copy(update={"gray": trained.channels == 1})
        data = data.model_copy(update={"path": path, "prepare": prepare, "channels": trained.channels})
    pack = Pack.open(resolve_data(data, report))
    if pack.shape[2] != trained.channels:
        raise UserError(f"--data {data.path}: {pack.shape[2]} channels, but the model's images have {trained.channels}")
    return pack
