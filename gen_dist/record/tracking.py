"""Weights & Biases, at arm's length: a thread of its own, so that neither its start nor its failures touch training.

`metrics.jsonl` is the record and W&B a copy of it. wandb keeps its last rows in memory until it ends in order, so a
crash leaves its folder short. `wandb/gen-dist.json` says how far W&B got when it last ended in order, and in which
folders; the next start takes the other folders out of `wandb sync`'s sight and repeats from there.
"""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from gen_dist.record.tracked import hide_torn_folders, read_mark, recorded, write_mark

Mode = Literal["auto", "offline", "online", "disabled"]

_INIT_SECONDS = 30  # what a W&B server gets to answer; wandb's own 90 outlast a short run
_KILLED_SECONDS = 3.0  # what W&B's process gets to end, and our thread to notice it

_QUIET: dict[str, Any] = {
    "silent": True,
    "console": "off",
    "disable_git": True,
    "disable_code": True,
    "save_code": False,
    "disable_job_creation": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}


class Tracker:
    """One W&B run for one training. Every method returns at once, except `finish`.

    `mode` auto is online where the user is logged in and the server answers, else offline; WANDB_MODE and `wandb
    offline` decide over auto.
    `run_id` stays the same when a run is resumed. The first failure goes to `report` (called from the tracker's
    thread) as one line, and everything after it is dropped. To be made before the run's metrics are written to.
    """

    def __init__(
        self,
        run_path: Path,
        *,
        run_id: str,
        name: str | None,
        config: dict[str, Any],
        mode: Mode = "auto",
        project: str = "gen-dist",
        entity: str | None = None,
        report: Callable[[str], None],
        without: str = "training goes on without it",
    ) -> None:
        self.folder: Path | None = None  # known once W&B has started
        self.url: str | None = None
        self._path, self._run_id, self._name, self._config = run_path, run_id, name, config
        self._mode, self._project, self._entity, self._report = mode, project, entity, report
        self._without = without  # what becomes of the rest where W&B fails
        self._last = {"rows": 0, "pictures": 0}  # the last step W&B has
        self._dropping = mode == "disabled" or (mode == "auto" and os.environ.get("WANDB_MODE") == "disabled")
        self._service: subprocess.Popen[bytes] | None = None
        self._queue: queue.SimpleQueue[Callable[[Any], None]] = queue.SimpleQueue()
        self._exit_code: int | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="wandb-tracker", daemon=True)
        if not self._dropping:
            self._past = recorded(run_path)
            self._thread.start()

    def log(self, step: int, values: dict[str, float | str]) -> None:
        """Send one row of metrics; a step that W&B has already is left out."""
        if not self._dropping:
            self._queue.put(partial(self._send_row, step=step, values=values))

    def picture(self, step: int, key: str, path: Path) -> None:
        """Send the picture in `path`, in the row of `step` where that is still the last one."""
        if not self._dropping:
            self._queue.put(partial(self._send_picture, step=step, key=key, path=path))

    def scores(self, values: dict[str, Any], table: tuple[list[str | int], list[list[Any]]]) -> None:
        """Send figures of the run as it is now, and a table (its columns, its rows) of them: to its summary, since they
        belong to no step, and a step of their own would be one that training cannot have later."""
        if not self._dropping:
            self._queue.put(partial(self._send_scores, values=values, table=table))

    def files(self, group: str, files: Mapping[str, Path]) -> None:
        """Send pictures (PNG), animations (GIF, MP4) and pages (HTML) to the run's summary, as `group`/name."""
        if not self._dropping:
            self._queue.put(partial(self._send_files, group=group, files=files))

    def alert(self, title: str, text: str) -> None:
        """Have W&B alert its user: mail or chat, as set there. An alert that a crash cuts off is not repeated."""
        if not self._dropping:
            self._queue.put(partial(self._send_alert, title=title, text=text))

    def finish(self, exit_code: int = 0, timeout: float = 60.0) -> None:
        """Send what is left and end W&B's process, by force after `timeout` seconds."""
        if self._exit_code is not None:
            return
        self._exit_code = exit_code
        if not self._thread.is_alive():
            return
        self._queue.put(self._end)
        try:
            self._thread.join(timeout)
        except BaseException:  # an impatient user: nothing may stay behind
            self._kill_service()
            raise
        if self._thread.is_alive():
            self._fail(f"not done after {timeout:g} s")
            self._kill_service()
            self._thread.join(_KILLED_SECONDS)

    @property
    def summary(self) -> str:
        """One line for the end of a run: where W&B has it."""
        if self.url:
            return f"W&B: {self.url}"
        if self.folder:
            return f"W&B: {self.folder} (offline; to upload: wandb sync {self.folder.parent}/offline-run-*)"
        return "W&B: not recorded"

    def _work(self) -> None:
        try:
            run = self._start()
            if run is None:
                self._dropping = True
                return
            self._repeat_past(run)
            while not (self._dropping or self._ended):
                self._queue.get()(run)
        except (Exception, SystemExit) as error:  # wandb's teardown may call sys.exit
            self._fail(_one_line(error))
            self._abandon()

    def _start(self) -> Any:
        """A W&B run, or None where the user switched W&B off."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb

        mode = _mode(self._mode, self._set_up())
        if mode == "disabled":
            wandb.teardown()
            return None
        done = read_mark(self._path)
        hide_torn_folders(self._path, done["folders"])
        try:
            run = self._init(mode)
        except wandb.errors.CommError as error:
            if self._mode != "auto" or mode == "offline":
                raise
            self._tell(f"{_one_line(error)}; recording offline instead")
            self._abandon()  # its process would refuse to start the same run again
            self._set_up()
            run = self._init("offline")
        self.folder, self.url = Path(run.dir).parent, run.url
        offline = run.settings._offline
        self._last = {key: done[key] if offline else run.step - 1 for key in self._last}
        return run

    def _set_up(self) -> Any:
        """Start W&B's process; returns its settings, which also know the user's files and environment."""
        import wandb

        settings = wandb.Settings(**_QUIET)
        if "WANDB_INIT_TIMEOUT" not in os.environ:
            settings.init_timeout = _INIT_SECONDS
        hooks = sys.exit, sys.excepthook
        setup = wandb.setup(settings=settings)
        sys.exit, sys.excepthook = hooks  # wandb replaces both; how this program ends is not its business
        self._service = getattr(getattr(setup._connection, "_proc", None), "_process", None)
        return setup.settings

    def _init(self, mode: Any) -> Any:
        import wandb

        return wandb.init(
            project=wandb.setup().settings.project or self._project,
            entity=self._entity,
            dir=str(self._path),
            id=self._run_id,
            name=self._name,
            config=self._config,
            mode=mode,
            resume="allow",
            reinit="create_new",
        )

    def _repeat_past(self, run: Any) -> None:
        rows, pictures = self._past
        todo: list[tuple[int, int, Callable[[], None]]] = []
        for row in rows:
            step = row.pop("step")
            todo.append((step, 0, partial(self._send_row, run, step, row)))
        for step, key, path in pictures:
            if step > self._last["pictures"]:
                todo.append((step, 1, partial(self._send_picture, run, step, key, path)))
        for _, _, send in sorted(todo, key=itemgetter(0, 1)):
            send()

    def _send_row(self, run: Any, step: int, values: dict[str, float | str]) -> None:
        if step > self._last["rows"]:
            run.log(values, step=step)
            self._last["rows"] = step

    def _send_picture(self, run: Any, step: int, key: str, path: Path) -> None:
        import wandb

        run.log({key: wandb.Image(str(path))}, step=max(step, run.step))  # W&B refuses to go back a step
        self._last["pictures"] = max(step, self._last["pictures"])

    def _send_scores(self, run: Any, values: dict[str, Any], table: tuple[list[str | int], list[list[Any]]]) -> None:
        import wandb

        columns, rows = table
        found = {f"evaluation/{name}": value for name, value in values.items()}
        run.summary.update(found | {"evaluation": wandb.Table(columns=columns, data=rows)})

    def _send_files(self, run: Any, group: str, files: Mapping[str, Path]) -> None:
        import wandb

        kinds = {".png": wandb.Image, ".gif": wandb.Video, ".mp4": wandb.Video, ".html": wandb.Html}
        run.summary.update({f"{group}/{name}": kinds[path.suffix.lower()](str(path)) for name, path in files.items()})

    def _send_alert(self, run: Any, title: str, text: str) -> None:
        run.alert(title, text, level="WARN")

    def _end(self, run: Any) -> None:
        import wandb

        run.finish(exit_code=self._exit_code)
        self._ended = True
        write_mark(self._path, self._last)
        wandb.teardown()

    def _fail(self, what: str) -> None:
        if not self._dropping:
            self._dropping = True
            self._tell(f"{what}; {self._without}")

    def _tell(self, what: str) -> None:
        with suppress(Exception):  # a full disk, say, which training will meet by itself
            self._report(f"W&B: {what}")

    def _abandon(self) -> None:
        self._kill_service()
        with suppress(Exception, SystemExit):  # takes back wandb's hook at exit, which would fail loudly
            sys.modules["wandb"].teardown()

    def _kill_service(self) -> None:
        if self._service is None:
            return
        self._service.terminate()
        try:
            self._service.wait(_KILLED_SECONDS)
        except subprocess.TimeoutExpired:
            self._service.kill()
            self._service.wait()
        for socket in Path(tempfile.gettempdir()).glob(f"wandb-{os.getpid()}-{self._service.pid}-*"):
            shutil.rmtree(socket, ignore_errors=True)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _mode(wanted: Mode, settings: Any) -> Any:
    if wanted != "auto":
        return wanted
    if chosen := os.environ.get("WANDB_MODE"):
        return chosen
    if settings.mode != "online":  # `wandb offline` and `wandb disabled` leave a settings file
        return settings.mode
    from wandb.sdk.lib import wbauth

    login = wbauth.authenticate_session(host=settings.base_url, source="gen-dist", prompt=False, update_session=False)
    return "online" if login else "offline"
