"""`gen-dist up`: a Ray head that asks for a token."""

import os
import secrets
import socket
from dataclasses import replace
from pathlib import Path

from gen_dist.cluster.head_probe import HeadFacts, ask_head, own_versions
from gen_dist.cluster.node_processes import end_node, start_node
from gen_dist.cluster.node_record import NodeRecord, record_locked, token_path
from gen_dist.cluster.own_address import OwnAddress, own_address_towards
from gen_dist.cluster.session import make_folder
from gen_dist.errors import RunError, UserError
from gen_dist.launch.nodes import DEFAULT_PORT, Wish, check_system, running_node, stay
from gen_dist.launch.tokens import given_token

HEAD_ONLY = ("--head", "--include-dashboard=false")


def start_head(port: int | None, wish: Wish, token_file: Path | None) -> int:
    check_system()
    given = given_token(None, token_file, os.environ)
    with record_locked():
        if (record := running_node()) is not None:
            print(already(record, port, wish))
            return 0
        port = port or DEFAULT_PORT
        own = own_address_towards(None, wish.node_ip_address)
        check_port(port)
        record = NodeRecord("head", f"{own.address}:{port}", own.address, own.interface, make_folder(wish.temp_dir))
        token = given or secrets.token_hex(16)
        record = start_node(record, token, [*HEAD_ONLY, f"--port={port}", *wish.arguments(own.address)])
        facts = leave_versions(record, token)
    lines = report(record, own, facts, None if given else token)
    if wish.block:
        return stay(record, lines)
    print("\n".join(lines))
    return 0


def already(record: NodeRecord, port: int | None, wish: Wish) -> str:
    """One line for who starts it twice.

    Raises:
        UserError: what runs is not what was asked for.
    """
    if record.role != "head":
        raise UserError(f"this machine is {record.describe()}; 'gen-dist down' ends that")
    if wish.node_ip_address not in (None, record.address) or str(port or "") not in ("", record.head.split(":")[1]):
        raise UserError(f"up already, elsewhere: {record.describe()}; 'gen-dist down' ends it")
    join = f"others join with 'gen-dist join {record.head}' and the token in {token_path()}"
    return f"up already: {record.describe()}; {join}"


def check_port(port: int) -> None:
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        raise UserError(
            f"--port {port}: {os.strerror(error.errno or 0)}; end what uses it, or choose another"
        ) from None


def leave_versions(record: NodeRecord, token: str) -> HeadFacts:
    """Tell the head which gen-dist it belongs to, for those who join; ends it if it does not take that."""
    try:
        facts = ask_head(record.head, token, own_versions())
        if isinstance(facts, str):
            raise RunError(f"Ray started and does not answer at {record.head}: {facts}")
    except BaseException:
        end_node(record)
        raise
    return facts


def report(record: NodeRecord, own: OwnAddress, facts: HeadFacts, token: str | None) -> list[str]:
    """What the user is told. Pure. A `token` that the user gave is None: it is known, and this may be logged."""
    join = f"gen-dist join {record.head}"
    if token is None:
        how = ["On each other machine, with the same token:", f"  {join} --token-file FILE"]
    else:
        how = [
            "On each other machine:",
            f"  {join} --token {token}",
            "Other users of that machine can see a command's options: without --token it asks.",
        ]
    return [
        f"up: {replace(record, interface=own.describe()).describe()}, {facts.describe()}",
        *how,
        "Then, here or there:",
        f"  gen-dist train PRESET --address {record.head}",
        f"'gen-dist down' ends it. Ray's logs: {record.folder}/session_latest/logs",
    ]
