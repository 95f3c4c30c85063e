"""Which signals reach a request to stop."""

import os
import signal
from contextlib import suppress

import pytest

from gen_dist.launch import cli
from gen_dist.launch.request import Request
from gen_dist.launch.signals import HANDLED, Interrupted, stop_on_signals
from gen_dist.launch.with_ray import run_with_ray
from gen_dist.launch.without_ray import run_without_ray
from gen_dist.record.run_folder import RunFolder


@pytest.mark.parametrize("number", HANDLED)
def test_interrupts_where_there_is_no_step_to_finish(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_DFL)  # it may be ignored: tests run under nohup too
    try:
        with pytest.raises(Interrupted) as interrupted, stop_on_signals(graceful=False):
            os.kill(os.getpid(), number)
        assert interrupted.value.exit_code == 128 + number
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


def test_signals_cannot_change_an_exit_code_that_is_decided() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with stop_on_signals(graceful=False, afterwards=signal.SIG_IGN):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number in HANDLED:
            signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
        signal.signal(signal.SIGTERM, before)


def test_nohup_means_it() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals(graceful=False) as request:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not request
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interruption_that_ray_wraps_is_one(monkeypatch):
    def wrap(standalone_mode: bool) -> None:
        try:
            raise Interrupted(signal.SIGTERM)
        except Interrupted as error:
            raise SystemError("returned a result with an exception set") from error

    monkeypatch.setattr(cli, "app", wrap)
    with pytest.raises(Interrupted) as interrupted:
        cli.run()
    assert interrupted.value.exit_code == 128 + signal.SIGTERM


def test_an_interruption_that_a_library_swallowed_is_not_forgotten() -> None:
    with stop_on_signals(graceful=False):
        with suppress(BaseException):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted, match="SIGTERM"), stop_on_signals(graceful=False):
            pass


@pytest.mark.parametrize("run", [run_with_ray, run_without_ray])
def test_a_signal_while_the_folder_of_a_run_is_made_leaves_none(run, tmp_path, monkeypatch) -> None:
    create = RunFolder.create

    def interrupted(*arguments):
        made = create(*arguments)
        signal.raise_signal(signal.SIGTERM)
        return made

    monkeypatch.setattr(RunFolder, "create", interrupted)
    with pytest.raises(Interrupted, match="SIGTERM"):
        run(Request("smoke", [], None, None, run is run_without_ray, "never", None, tmp_path / "run"))
    assert list(tmp_path.iterdir()) == []


def test_a_request_to_stop_stays_one() -> None:
    with stop_on_signals() as outer:
        signal.raise_signal(signal.SIGTERM)
        with stop_on_signals() as inner:
            pass
    assert outer
    assert not inner
