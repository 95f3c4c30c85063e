"""The smaller commands. Each imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from gen_dist.launch.options import RunArgument


def status(run: RunArgument) -> None:
    """Say how far a run is."""
    from gen_dist.launch.watching import describe_status

    print("\n".join(describe_status(run)))


def stop(run: RunArgument) -> int:
    """Ask a run to finish its step, write a checkpoint and end; waits until it has."""
    from gen_dist.launch.watching import stop_run

    return stop_run(run, print)


def diff(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="run folder")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="run folder to compare it with")],
) -> int:
    """Compare two runs: settings, losses, state hashes. Exit code 0: identical, 1: different."""
    from gen_dist.launch.comparing import print_difference

    return print_difference(run_a, run_b)


def prepare(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="folder, zip, tar, video, IDX, CIFAR, .npy, .npz, or a known name"),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="pack to make, or to bring up to date")],
    size: Annotated[int, typer.Option(help="side of the square images, in pixels")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="data.prepare.* and data.decoding.* only")
    ] = None,
    crop: Annotated[
        str | None, typer.Option(metavar="HOW", help="center, pad, fit, stretch or box:X,Y,W,H  [default: center]")
    ] = None,
    filter: Annotated[str | None, typer.Option(metavar="NAME", help="of the resizing  [default: lanczos]")] = None,
    gray: Annotated[bool, typer.Option("--gray", help="one channel, the luma, in place of three")] = False,
    background: Annotated[
        str | None, typer.Option(metavar="COLOR", help="white, black, gray or R,G,B  [default: white]")
    ] = None,
    frames: Annotated[
        str | None, typer.Option(metavar="WHICH", help="of animations: first or all  [default: first]")
    ] = None,
    every: Annotated[int | None, typer.Option(metavar="N", help="of a video, each N-th frame")] = None,
    fps: Annotated[float | None, typer.Option(metavar="F", help="of a video, F frames a second")] = None,
    split: Annotated[
        float | None, typer.Option(metavar="SHARE", help="make two packs, train and held-out, with this share to train")
    ] = None,
    by_folder: Annotated[bool, typer.Option("--by-folder", help="split whole folders, not single images")] = False,
    drop_duplicates: Annotated[
        str | None, typer.Option(metavar="WHICH", help="none, exact or near  [default: none]")
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="WHAT", help="pixels, or jpeg to decode while training  [default: pixels]")
    ] = None,
    on_error: Annotated[
        str | None, typer.Option(metavar="HOW", help="skip bad files and list them, or fail  [default: skip]")
    ] = None,
    downloaded: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="where the files of a known name are already")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="decoding workers  [default: one per CPU]")] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="decode on this Ray cluster, or 'auto'")
    ] = None,
) -> None:
    """Turn images of any kind into a pack that training maps into memory."""
    from gen_dist.launch.preparing import Wish, prepare_with_progress

    options = {
        "crop": crop,
        "filter": filter,
        "gray": gray or None,
        "background": background,
        "frames": frames,
        "every": every,
        "fps": fps,
        "drop_duplicates": drop_duplicates,
        "keep": keep,
        "on_error": on_error,
    }
    prepare_with_progress(
        Wish(source, out, size, options, overrides or [], split, by_folder, workers, address, downloaded)
    )


def verify(pack: Annotated[Path, typer.Argument(metavar="PACK", help="folder made by 'gen-dist prepare'")]) -> int:
    """Check every image of a pack against its checksum. Exit code 1: images are damaged, 2: something else is."""
    from gen_dist.launch.packs import verify_pack

    return verify_pack(pack)


def inspect(
    source: Annotated[str, typer.Argument(metavar="PACK|SOURCE", help="a pack, or anything 'prepare' reads")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="contact sheet to write (NAME-contact-sheet.png)")
    ] = None,
    size: Annotated[int, typer.Option(help="of a source: side of the square images, in pixels")] = 64,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Say what is in a pack or a source of images, and draw a contact sheet of it."""
    from gen_dist.launch.inspecting import inspect_source

    inspect_source(source, out, size, json)


def merge(
    paths: Annotated[list[Path], typer.Argument(metavar="PACK PACK... OUT", help="packs, then the one to make")],
    drop_duplicates: Annotated[
        str, typer.Option(metavar="exact|near", help="leave out images equal to an earlier one, or nearly")
    ] = "none",
    no_classes: Annotated[bool, typer.Option("--no-classes", help="leave the classes out")] = False,
) -> None:
    """Make one pack of several; classes of one name become one class."""
    from gen_dist.launch.packs import merge_into

    merge_into(paths, drop_duplicates, not no_classes)


def split(
    pack: Annotated[Path, typer.Argument(metavar="PACK", help="folder made by 'gen-dist prepare'")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="folder to make, with the packs train and held-out")],
    at: Annotated[float, typer.Option(help="share of the images that train")] = 0.9,
    by_folder: Annotated[bool, typer.Option("--by-folder", help="whole folders go to a side")] = False,
) -> None:
    """Split a pack in two, to train on one and judge on the other. Equal images never end up on both sides."""
    from gen_dist.launch.packs import split_into

    split_into(pack, out, at, by_folder)


def warm_up() -> None:
    """Compile all kernels on this machine now, for example while its image is built."""
    import time

    from gen_dist.kernels.code_cache import cache_folder
    from gen_dist.kernels.warm_up import warm_up as compile_kernels

    started = time.perf_counter()
    parts = compile_kernels()
    place = cache_folder() or "nowhere: there is no folder to keep them in, so every process compiles"
    if parts:
        print(f"compiled in {time.perf_counter() - started:.0f} s, kept in: {place}")
    else:
        print(f"compiled already, kept in: {place}")


def configs() -> None:
    """List the presets, one line each."""
    from gen_dist.presets import describe_preset, preset_names

    width = max(map(len, preset_names()))
    for name in preset_names():
        print(f"{name:{width}}  {describe_preset(name)}")


def template(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="which to print; default: list them")] = None,
) -> None:
    """Print what starts a run under another launcher: Slurm, KubeRay, or Ray's own through SSH."""
    from gen_dist.launch.listing import print_template

    print_template(name)


def version() -> None:
    """Say which versions are installed."""
    import platform
    from importlib.metadata import version as installed

    import gen_dist

    parts = ", ".join(f"{name} {installed(name)}" for name in ("torch", "ray", "numba", "numpy"))
    print(f"gen-dist {gen_dist.__version__} (Python {platform.python_version()}, {parts})")
