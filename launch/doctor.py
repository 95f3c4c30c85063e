"""`gen-dist doctor`: what would break a run or slow it down, said before it starts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gen_dist.cluster.examination import Examination, Wanted


def doctor(
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="HOST:PORT of a running Ray cluster, or auto; default: this machine"),
    ] = None,
    data: Annotated[
        str | None, typer.Option(metavar="PACK|PRESET", help="say which nodes have this pack, or a preset's")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> int:
    """Examine this machine or a cluster before training. Exit code 1: something would break a run."""
    from gen_dist.launch.doctor_findings import judge
    from gen_dist.launch.doctor_printing import as_json, show

    wanted = None if data is None else wanted_pack(data)
    examination = examine_cluster(address, wanted)
    findings = judge(examination)
    if json:
        print(as_json(examination, findings))
    else:
        show(examination, findings)
    return int(any(finding.breaks for finding in findings))


def examine_cluster(address: str | None, wanted: "Wanted | None") -> "Examination":
    """Raises UserError where no cluster answers at `address`."""
    from rich.console import Console

    from gen_dist.cgroups import cpus
    from gen_dist.cluster.examination import Here
    from gen_dist.cluster.node_facts import disk, software
    from gen_dist.cluster.session import list_nodes, ray_cluster
    from gen_dist.config import ClusterSettings

    console = Console(stderr=True)
    here = Here(software(), disk(Path("runs").absolute()), address is not None, wanted)
    doing = console.status("starting" if address is None else "connecting")  # shows nothing where no terminal is
    with doing, ray_cluster(address, cpus(), ClusterSettings().object_store_mb):
        from gen_dist.cluster.node_probes import examine  # imports ray, which reads its token when imported

        return examine(list_nodes(), here, lambda text: doing.update(text))


def wanted_pack(text: str) -> "Wanted":
    """The pack that is meant by a path, `bundled:NAME` or a preset.

    Raises:
        UserError: there is none, or it is damaged.
    """
    import os

    from gen_dist.cluster.examination import Wanted
    from gen_dist.data.bundled import BUNDLED, bundled_pack
    from gen_dist.data.pack import Pack
    from gen_dist.data.pack_meta import is_pack
    from gen_dist.errors import UserError
    from gen_dist.presets import load_config, preset_names

    name = text
    is_preset = text in preset_names() and not is_pack(Path(text))
    if is_preset or text.endswith((".yaml", ".yml")):
        name = load_config(text).data.path
        if not name:
            raise UserError(f"--data {text}: this preset names no data; give the pack that you would train on")
    if name.startswith(BUNDLED):
        path = bundled_pack(name.removeprefix(BUNDLED))
    else:
        path = Path(os.path.expanduser(name)).absolute()
        if not is_pack(path) and not path.exists() and name == text:
            raise UserError(f"--data {text}: no such pack; give the folder of one, bundled:NAME or a preset")
        if not is_pack(path):
            raise UserError(
                f"--data {text}: no pack at '{name}'; make one with 'gen-dist prepare {name} PACK --size S'"
            )
    pack = Pack.open(path)
    return Wanted(name, path, pack.content_hash, sum(file.stat().st_size for file in path.iterdir() if file.is_file()))
