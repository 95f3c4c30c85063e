"""The files that other launchers read, checked as far as that goes without these launchers."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from gen_dist.errors import UserError
from gen_dist.launch.cli import app
from gen_dist.launch.listing import print_template
from tests.conftest import write_pack

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "launch" / "templates"
PINNED_RAY = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)


def load(name: str) -> dict:
    return yaml.safe_load((FOLDER / name).read_text())


def train_arguments(command: str) -> list[str]:
    words = shlex.split(command)
    assert words[:2] == ["gen-dist", "train"]
    return words[1:]


def test_templates_are_printed_as_they_are(capsys):
    print_template(None)
    names = capsys.readouterr().out.split()
    assert names == sorted(path.name for path in FOLDER.iterdir())
    for name in names:
        print_template(name)
        assert capsys.readouterr().out == (FOLDER / name).read_text()
    with pytest.raises(UserError, match="template nowhere: must be one of kuberay-rayjob.yaml, ray-cluster"):
        print_template("nowhere")


def test_the_manual_names_each():
    manual = (ROOT / "docs" / "operations.md").read_text()
    assert [path.name for path in FOLDER.iterdir() if f"gen-dist template {path.name}" not in manual] == []


def test_ray_accepts_the_cluster_and_starts_it_with_a_token():
    from ray.autoscaler._private.util import prepare_config, validate_config

    cluster = load("ray-cluster.yaml")
    prepared = prepare_config(load("ray-cluster.yaml"))
    validate_config(prepared)
    with pytest.raises(Exception, match="head_start_commands"):
        validate_config({**prepared, "head_start_commands": []})
    [kind] = prepared["available_node_types"].values()
    assert (kind["min_workers"], prepared["max_workers"]) == (2, 2) == (len(cluster["provider"]["worker_ips"]),) * 2
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        [start] = [command for command in commands if "ray start" in command]
        assert start.startswith("RAY_AUTH_MODE=token ray start "), "nobody may join without the token"
        assert "--object-store-memory=200000000" in start
    assert "~/.ray/auth_token" in cluster["file_mounts"]


def test_the_kubernetes_job_has_what_kuberay_needs():
    job = load("kuberay-rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert PINNED_RAY is not None
    assert cluster["rayVersion"] == PINNED_RAY[1], "change it with constraints.txt"
    assert cluster["authOptions"] == {"mode": "token"}
    [workers] = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]
    for group in (cluster["headGroupSpec"], workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), "a map of strings"
        pod = group["template"]["spec"]
        [container] = pod["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"], "Ray counts the limits"
        assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}


def test_the_kubernetes_job_runs_a_command_that_is_there(tmp_path):
    arguments = train_arguments(load("kuberay-rayjob.yaml")["spec"]["entrypoint"])
    pack = write_pack(tmp_path / "pack", size=64)
    arguments = [f"data.path={pack}" if word.startswith("data.path=") else word for word in arguments]
    app([*arguments, "--dry-run"], standalone_mode=False)


def test_bash_reads_the_slurm_script():
    done = subprocess.run(["bash", "-n", FOLDER / "slurm.sh"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_in_the_slurm_script():
    done = subprocess.run(["shellcheck", FOLDER / "slurm.sh"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
