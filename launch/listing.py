"""`gen-dist nodes`, who is in a cluster, and `gen-dist template`."""

import os
import time
from importlib.resources import files
from pathlib import Path

from gen_dist.cluster.head_probe import HeadFacts, ask_head
from gen_dist.cluster.node_record import saved_way
from gen_dist.cluster.session import check_address, parse_address
from gen_dist.errors import UserError
from gen_dist.launch.tokens import asked_token, given_token

RETRY_SECONDS = 1.0


def list_machines(address: str, token_file: Path | None, wait_for: int, wait: float) -> None:
    """Raises UserError: no answer, the wrong token, or fewer machines than `wait_for` when the time is over."""
    way = saved_way(address)
    if way.address == "auto":
        raise UserError("--address auto: neither 'gen-dist up' nor 'gen-dist join' ran on this machine; give HOST:PORT")
    token = given_token(None, token_file, {**os.environ, **way.environment}) or asked_token()
    parse_address(way.address)
    deadline = time.monotonic() + wait
    while True:
        try:
            facts = machines(way.address, token, wait_for)
            break
        except NotYetError as error:
            if time.monotonic() >= deadline:
                raise UserError(f"{error}, or wait longer with --wait SECONDS") from None
        time.sleep(RETRY_SECONDS)
    print("\n".join(table(way.address, facts)))


class NotYetError(Exception):
    """What waiting may mend."""


def machines(address: str, token: str, least: int) -> HeadFacts:
    try:
        check_address(address)
    except UserError as error:
        raise NotYetError(str(error)) from None
    facts = ask_head(address, token)
    if facts == "refused":
        raise UserError(f"--address {address}: refused the token; give the one that 'gen-dist up' said there")
    if isinstance(facts, str):
        raise NotYetError(f"--address {address}: no Ray head answers ({facts}); check the port")
    if len(facts.nodes) < least:
        raise NotYetError(f"--wait-for {least}: the cluster has {facts.describe()}; join more")
    return facts


def table(address: str, facts: HeadFacts) -> list[str]:
    head = address.rpartition(":")[0]
    width = max(map(len, facts.nodes), default=0)
    lines = [
        f"{node:{width}}  CPUs {cpus:3}" + f"  GPUs {gpus}" * bool(gpus) + "  head" * (node == head)
        for node, (cpus, gpus) in sorted(facts.nodes.items())
    ]
    return [*lines, facts.describe()]


def print_template(name: str | None) -> None:
    folder = files("gen_dist.launch") / "templates"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith((".sh", ".yaml")))
    if name is None:
        print("\n".join(names))
        return
    if name not in names:
        raise UserError(f"template {name}: must be one of {', '.join(names)}")
    print((folder / name).read_text(), end="")
