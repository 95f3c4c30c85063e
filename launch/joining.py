"""`gen-dist join`: this machine becomes a node of another's cluster, or is told in a line why it cannot."""

import os
import secrets
import time
from pathlib import Path

from gen_dist.cluster.head_probe import HeadFacts, ask_head, mismatch, own_versions
from gen_dist.cluster.node_processes import end_node, start_node
from gen_dist.cluster.node_record import NodeRecord, record_locked, resolved
from gen_dist.cluster.own_address import own_address_towards
from gen_dist.cluster.session import check_address, make_folder, parse_address
from gen_dist.errors import RunError, UserError
from gen_dist.launch.nodes import DEFAULT_PORT, Wish, check_system, running_node, stay
from gen_dist.launch.tokens import asked_token, given_token

RETRY_SECONDS = 1.0


def join_head(address: str, wish: Wish, token: str | None, token_file: Path | None, wait: float) -> int:
    check_system()
    address = address if ":" in address else f"{address}:{DEFAULT_PORT}"
    parse_address(address, "join")
    given = given_token(token, token_file, os.environ)
    with record_locked():
        head = resolved(address)
        if (record := running_node()) is not None:
            print(already(record, head, wish))
            return 0
        deadline = time.monotonic() + wait
        wait_for_head(address, deadline)
        token = given or asked_token()
        check_head(address, head, token, deadline)
        own = own_address_towards(head.rpartition(":")[0], wish.node_ip_address)
        record = NodeRecord("member", head, own.address, own.interface, make_folder(wish.temp_dir))
        record = start_node(record, token, [f"--address={head}", *wish.arguments(own.address)])
        facts = confirm(record, token)
    lines = [
        f"joined {head}: this machine is {record.address} ({own.describe()})",
        f"The cluster has {facts.describe()}. Then, here or there:",
        f"  gen-dist train PRESET --address {head}",
        f"'gen-dist down' leaves it. Ray's logs: {record.folder}/session_latest/logs",
    ]
    if wish.block:
        return stay(record, lines)
    print("\n".join(lines))
    return 0


def wait_for_head(address: str, deadline: float) -> None:
    """Until something listens there. Raises UserError as `check_address` does, after the deadline."""
    while True:
        try:
            return check_address(address, "join")
        except UserError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(RETRY_SECONDS)


def already(record: NodeRecord, head: str, wish: Wish) -> str:
    """One line for who joins twice.

    Raises:
        UserError: what runs is not what was asked for.
    """
    same = wish.node_ip_address in (None, record.address)
    if record.role != "member" or record.head != head or not same:
        raise UserError(f"this machine is already {record.describe()}; 'gen-dist down' ends that")
    return f"joined already: this machine is {record.describe()}"


def check_head(address: str, head: str, token: str, deadline: float) -> HeadFacts:
    """Before anything is started. A head that is not ready yet is asked again until the deadline.

    Raises:
        UserError: no answer, the wrong token, no token asked for, or other versions.
    """
    while isinstance(facts := ask_head(head, token), str) and facts != "refused" and time.monotonic() < deadline:
        time.sleep(RETRY_SECONDS)
    if facts == "refused":
        raise UserError(f"join {address}: refused the token; give the one that 'gen-dist up' said there")
    if isinstance(facts, str):
        raise UserError(f"join {address}: something listens there, but no Ray head answers ({facts}); check the port")
    if ask_head(head, secrets.token_hex(16)) != "refused":
        raise UserError(
            f"join {address}: takes any token, so whoever reaches it can run code there; start it with 'gen-dist up'"
        )
    if difference := mismatch(own_versions(), facts.versions):
        raise UserError(f"join {address}: {difference}; install the same on every machine")
    return facts


def confirm(record: NodeRecord, token: str) -> HeadFacts:
    """The head knows this machine by the address that it was to have; else it is taken out again."""
    try:
        facts = ask_head(record.head, token)
        if isinstance(facts, str):
            raise RunError(f"join {record.head}: the head stopped answering: {facts}")
        if record.address not in facts.nodes:
            raise RunError(f"join {record.head}: Ray started, but the head knows no node {record.address}")
    except BaseException:
        end_node(record)
        raise
    return facts
