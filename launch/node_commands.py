"""`gen-dist up`, `join` and `down`: this machine as part of a cluster."""

from pathlib import Path
from typing import Annotated

import typer

NodeAddress = Annotated[
    str | None, typer.Option(metavar="IP", help="of this machine, as the others reach it  [default: see the manual]")
]
Cpus = Annotated[int | None, typer.Option(metavar="N", min=0, help="that training may use  [default: all]")]
ObjectStore = Annotated[int, typer.Option(metavar="MB", min=80, help="memory for what Ray carries")]
TemporaryFolder = Annotated[
    str | None, typer.Option("--temp-dir", metavar="DIR", help="where Ray gets a folder for sockets and logs")
]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", metavar="FILE", help="that holds the token; - for standard input")
]
Wait = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="how long to wait for it")]
Block = Annotated[bool, typer.Option("--block", help="stay, and end the node on Ctrl-C or SIGTERM")]


def up(
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="where the others join  [default: 6379]")] = None,
    node_ip_address: NodeAddress = None,
    num_cpus: Cpus = None,
    object_store_mb: ObjectStore = 200,
    temp_dir: TemporaryFolder = None,
    token_file: TokenFile = None,
    block: Block = False,
) -> int:
    """Make this machine the head of a new cluster, and say how others join it."""
    from gen_dist.launch.nodes import Wish
    from gen_dist.launch.up import start_head

    return start_head(port, Wish(node_ip_address, num_cpus, object_store_mb, temp_dir, block), token_file)


def join(
    address: Annotated[str, typer.Argument(metavar="HOST[:PORT]", help="of the head, as 'gen-dist up' says it there")],
    token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="as 'gen-dist up' says it; seen by this machine's other users")
    ] = None,
    token_file: TokenFile = None,
    node_ip_address: NodeAddress = None,
    num_cpus: Cpus = None,
    object_store_mb: ObjectStore = 200,
    temp_dir: TemporaryFolder = None,
    wait: Wait = 0,
    block: Block = False,
) -> int:
    """Put this machine into the cluster of another, where 'gen-dist up' ran. Asks for the token if none is given."""
    from gen_dist.launch.joining import join_head
    from gen_dist.launch.nodes import Wish

    wish = Wish(node_ip_address, num_cpus, object_store_mb, temp_dir, block)
    return join_head(address, wish, token, token_file, wait)


def nodes(
    address: Annotated[str, typer.Option(metavar="HOST:PORT", help="of the head, or 'auto': this machine's")] = "auto",
    token_file: TokenFile = None,
    wait_for: Annotated[int, typer.Option(metavar="N", min=1, help="wait until there are N")] = 1,
    wait: Wait = 0,
) -> None:
    """List the machines of a cluster. Exit code 2: it does not answer, or there are fewer than --wait-for."""
    from gen_dist.launch.listing import list_machines

    list_machines(address, token_file, wait_for, wait)


def down() -> int:
    """End what 'gen-dist up' or 'join' started on this machine, and nothing else."""
    from gen_dist.launch.nodes import end_this_node

    return end_this_node()
