"""The commands that show what a run has learnt. Each imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from gen_dist.errors import UserError
from gen_dist.launch.options import RunArgument

Raw = Annotated[bool, typer.Option("--raw", help="the weights as trained, not their moving average")]
Seed = Annotated[int, typer.Option(help="of the latents that are drawn")]
Wandb = Annotated[bool, typer.Option("--wandb", help="add it to the run in Weights & Biases, too")]
FramesPerSecond = Annotated[float, typer.Option("--fps", metavar="F", help="frames a second")]


def generate(
    run: RunArgument,
    count: Annotated[int, typer.Option(help="how many images")] = 64,
    out: Annotated[
        Path, typer.Option(metavar="FILE.png|DIR", help="the grid to write, or a folder for single files")
    ] = Path("generated.png"),
    seed: Annotated[int, typer.Option(help="image i depends on the seed and i only")] = 0,
    truncation: Annotated[
        float | None, typer.Option(metavar="T", help="keep latent values within it: less variety, fewer failures")
    ] = None,
    best_of: Annotated[
        int, typer.Option(metavar="K", help="of each K images the one that the discriminator finds most real")
    ] = 1,
    raw: Raw = False,
    wandb: Wandb = False,
) -> None:
    """Draw new images from a trained run."""
    from gen_dist.launch.generating import Drawing
    from gen_dist.launch.generating import generate as write

    if wandb and out.suffix.lower() != ".png":
        raise UserError(f"--wandb: gets a grid: give --out FILE.png, not {out}")
    write(run, out, Drawing(count, seed, truncation, best_of), raw)
    print(f"{count} images: {out}")
    tell(wandb, run, "generate", out)


def reconstruct(
    run: RunArgument,
    images: Annotated[list[str], typer.Argument(metavar="IMAGES...", help="image files, folders, packs or archives")],
    out: Annotated[Path, typer.Option(metavar="FILE.png", help="the picture to write")] = Path("reconstructed.png"),
    count: Annotated[int, typer.Option(help="at most so many images")] = 32,
    raw: Raw = False,
    wandb: Wandb = False,
) -> None:
    """Encode images and decode them again: rows of originals, each over its reconstructions. For VAEs and VAE-GANs."""
    from gen_dist.launch.generating import reconstruct as write

    error = write(run, images, out, count, raw)
    print(f"mean squared error {error:.5f} (pixels in 0..1): {out}")
    tell(wandb, run, "reconstruct", out)


def interpolate(
    run: RunArgument,
    images: Annotated[
        list[str] | None, typer.Argument(metavar="[IMAGES]...", help="between these; default: between drawn ones")
    ] = None,
    out: Annotated[
        Path, typer.Option(metavar="FILE.png|gif|mp4", help="rows of images, or an animation through all of them")
    ] = Path("interpolated.png"),
    steps: Annotated[int, typer.Option(help="images from one to the next")] = 10,
    rows: Annotated[int, typer.Option(help="how many ways between drawn images")] = 5,
    seed: Seed = 0,
    fps: FramesPerSecond = 12,
    raw: Raw = False,
    wandb: Wandb = False,
) -> None:
    """Show what lies between images: along arcs between drawn ones, along lines between yours (VAEs, VAE-GANs)."""
    from gen_dist.launch.generating import Way, interpolate_images

    interpolate_images(run, out, Way(tuple(images or ()), steps, rows, seed), fps, raw)
    print(out)
    tell(wandb, run, "interpolate", out)


def latent(
    run: RunArgument,
    out: Annotated[Path, typer.Option(metavar="DIR", help="folder to write into")] = Path("latent"),
    data: Annotated[
        str | None, typer.Option(metavar="PACK|SOURCE", help="other images than the run's own, such as held-out ones")
    ] = None,
    count: Annotated[int, typer.Option(help="at most so many images")] = 2000,
    side: Annotated[int, typer.Option(help="of the grid of decoded images")] = 20,
    seed: Annotated[int, typer.Option(help="which images are taken")] = 0,
    raw: Raw = False,
    wandb: Wandb = False,
) -> None:
    """Show the latent space: where images lie in it, in two and three dimensions, and a grid of decoded places."""
    from gen_dist.launch.latent import Wanted, show_latent_space

    made = show_latent_space(run, out, Wanted(data, count, side, seed), raw)
    for path in made:
        print(path)
    tell(wandb, run, "latent", *made)


def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None, typer.Option(metavar="PACK|SOURCE", help="images that the run has not seen, to compare with")
    ] = None,
    scores: Annotated[str, typer.Option(metavar="A,B,…", help="groups of scores; default: all there are")] = "",
    count: Annotated[int, typer.Option(help="at most so many images, and as many samples")] = 10_000,
    seed: Seed = 0,
    workers: Annotated[int | None, typer.Option(metavar="N", help="default: one a CPU; nothing depends on it")] = None,
    address: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="compute on the machines of this Ray cluster")
    ] = None,
    inception: Annotated[
        Path | None, typer.Option(metavar="FILE.safetensors", help="Inception's weights, for FID and KID")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.json", help="default: in the run folder")] = None,
    raw: Raw = False,
) -> None:
    """Score a run: how its samples compare with real images, how likely it finds these, whether it repeats them."""
    from gen_dist.launch.evaluating import Wanted, evaluate_run

    evaluate_run(run, Wanted(data, scores, count, seed, workers, address, inception), out, raw)


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders, to compare them")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.html|md", help="default: report.html, of one run in its folder")
    ] = None,
    latent: Annotated[bool, typer.Option(help="with a view of the latent space, for which the model is opened")] = True,
) -> None:
    """Tell what became of runs: curves, pictures, scores, settings, on one page that needs no network."""
    from gen_dist.launch.reporting import report as write

    path, notes = write(runs, out, latent)
    for note in notes:
        print(f"note: {note}")
    print(path)


def export(
    run: RunArgument,
    out: Annotated[Path, typer.Argument(metavar="DIR", help="a new folder")],
    onnx: Annotated[bool, typer.Option(help="with ONNX files; needs the extra 'export'")] = True,
    raw: Raw = False,
) -> None:
    """Make a folder of a run's model for others: weights, model card, torch.export and ONNX programs, checked."""
    from gen_dist.launch.exporting import export as write

    made = write(run, out, raw, onnx)
    for name, apart in made.apart.items():
        print(f"{name}: at most {apart:.1e} from the model's own results")
    print(f"{', '.join(made.files)}: {out}")


def explore(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="run folders, side by side")],
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any that is free")] = 8000,
    anyone: Annotated[bool, typer.Option("--anyone", help="allow other machines, where --host lets them in")] = False,
    browser: Annotated[bool, typer.Option(help="open the page")] = True,
    raw: Raw = False,
) -> None:
    """Serve a page to move through what runs have learnt: sliders, a map, your images, ways between two."""
    from gen_dist.launch.exploring import explore as serve

    serve(runs, host, port, anyone, browser, raw)


def sync(run: RunArgument) -> None:
    """Upload to Weights & Biases what a run recorded offline: steps, pictures, scores."""
    from gen_dist.launch.syncing import sync as upload

    print(f"uploaded: {upload(run)}")


def animate(
    run: RunArgument,
    out: Annotated[Path, typer.Option(metavar="FILE.gif|mp4", help="the animation to write")] = Path("training.gif"),
    fps: FramesPerSecond = 8,
    frames: Annotated[int, typer.Option(help="at most so many, evenly spread over training")] = 100,
    wandb: Wandb = False,
) -> None:
    """Show how samples of the same latents changed while the run trained."""
    from gen_dist.launch.generating import animate as write

    print(f"{write(run, out, fps, frames)} frames: {out}")
    tell(wandb, run, "animate", out)


def tell(wandb: bool, run: Path, command: str, *files: Path) -> None:
    if wandb:
        from gen_dist.launch.telling_wandb import tell_wandb_of_files

        print(tell_wandb_of_files(run, command, {path.stem: path for path in files}))
