"""Ask a Ray head who it is, in a process of its own: Ray's C++ may hang or abort on what is no head of its version.

`python -m gen_dist.cluster.head_probe ADDRESS [VERSIONS]` prints one line of JSON; with VERSIONS it leaves those there.
The token comes through the environment.
"""

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import gen_dist
from gen_dist.source_hash import source_hash

SECONDS = 15.0
PLACE = b"gen-dist"  # key and namespace in the head's table
# Laptops differ in Python's last digit, which matters to nothing that is sent between them.
SAME_MINOR_PYTHON = {"RAY_DEFAULT_PYTHON_VERSION_MATCH_LEVEL": "minor"}


@dataclass(frozen=True)
class Versions:
    ray: str
    python: str
    gen_dist: str | None  # None: the head was started without gen-dist
    source: str | None


@dataclass(frozen=True)
class HeadFacts:
    """`nodes`: address to CPUs and GPUs, of the living ones."""

    versions: Versions
    nodes: dict[str, tuple[int, int]]

    def describe(self) -> str:
        cpus, gpus = (sum(node[i] for node in self.nodes.values()) for i in range(2))
        counts = {"machine": len(self.nodes), "CPU": cpus, **({"GPU": gpus} if gpus else {})}
        return ", ".join(f"{count} {what}" + "s" * (count != 1) for what, count in counts.items())


def own_versions() -> Versions:
    return Versions(version("ray"), platform.python_version(), gen_dist.__version__, source_hash())


def mismatch(here: Versions, there: Versions) -> str | None:
    """What keeps this machine from joining, as "thing HERE here, THERE there". Pure."""
    if here.ray != there.ray:
        return f"Ray {here.ray} here, {there.ray} there"
    if here.python.split(".")[:2] != there.python.split(".")[:2]:
        return f"Python {here.python} here, {there.python} there"
    if there.source is not None and here.source != there.source:
        same = here.gen_dist == there.gen_dist
        return f"gen-dist {here.gen_dist} here, {there.gen_dist} there" + " with other source code" * same
    return None


def ask_head(address: str, token: str, leave: Versions | None = None) -> HeadFacts | str:
    """The facts, or why there are none: "refused" (the token), "no answer", or an error of Ray's in a line."""
    command = [sys.executable, "-m", "gen_dist.cluster.head_probe", address]
    if leave is not None:
        command.append(json.dumps(asdict(leave)))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_DISABLE_IMPORT_WARNING": "1"}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "no answer"
    if done.returncode != 0 or not done.stdout:
        return "no answer"
    answer = json.loads(done.stdout)
    if isinstance(answer, str):
        return answer
    nodes = {address: (cpus, gpus) for address, (cpus, gpus) in answer["nodes"].items()}
    return HeadFacts(Versions(**answer["versions"]), nodes)


def answer(address: str, leave: str | None) -> object:
    """What the child prints. Facts, or a str as in `ask_head`."""
    import ray._raylet
    import ray.core.generated.gcs_pb2
    from ray.exceptions import AuthenticationError

    client_of: Any = vars(ray._raylet)["GcsClient"]  # made by a compiler: no types
    alive = vars(ray.core.generated.gcs_pb2)["GcsNodeInfo"].GcsNodeState.ALIVE
    try:
        client = client_of(address=address)
        if leave is not None:
            client.internal_kv_put(PLACE, leave.encode(), overwrite=True, namespace=PLACE, timeout=SECONDS)
        about = client.internal_kv_get(b"CLUSTER_METADATA", namespace=b"cluster", timeout=SECONDS)
        left = client.internal_kv_get(PLACE, namespace=PLACE, timeout=SECONDS)
        infos = client.get_all_node_info(timeout=SECONDS, state_filter=alive).values()
    except AuthenticationError:
        return "refused"
    except Exception as error:
        return " ".join(str(error).split())[:200]
    metadata, ours = json.loads(about or b"{}"), json.loads(left or b"{}")
    versions = Versions(
        metadata.get("ray_version", "unknown"), metadata.get("python_version", "unknown"),
        ours.get("gen_dist"), ours.get("source"),
    )  # fmt: skip
    resources = {info.node_manager_address: info.resources_total for info in infos}
    nodes = {address: (int(r.get("CPU", 0)), int(r.get("GPU", 0))) for address, r in resources.items()}
    return {"versions": asdict(versions), "nodes": nodes}


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None)))
