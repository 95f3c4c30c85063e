#!/bin/bash
# Train on the nodes of a Slurm job:  sbatch slurm.sh PRESET [KEY=VALUE]...
# The job's time limit ends the run properly: it gets its signal early enough for a last checkpoint. The same run goes on
# with:  sbatch slurm.sh PRESET [KEY=VALUE]... --resume RUN
#SBATCH --job-name=gen-dist
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@180
#SBATCH --output=%x-%j.log
set -euo pipefail

# Activate the environment that has gen-dist here. It must be the same on all nodes, as on a shared home.

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
port=$((20000 + SLURM_JOB_ID % 10000)) # jobs that share a node need ports of their own
# A token for this job, passed on in the environment, which other users cannot see.
RAY_AUTH_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
# Jobs that share a node must not share what gen-dist keeps about it.
export XDG_STATE_HOME=$HOME/.local/state/gen-dist-jobs/$SLURM_JOB_ID
unset RAY_ADDRESS

steps=()
train=
# shellcheck disable=SC2317,SC2329  # the trap below calls it
leave() {
  downs=()
  for node in "${nodes[@]}"; do
    on "$node" gen-dist down & # srun would make SIGKILL of a SIGTERM, and leave Ray's files behind
    downs+=($!)
  done
  wait "${downs[@]}" || true
  [ ${#steps[@]} -eq 0 ] || kill "${steps[@]}" 2>/dev/null || true
  wait || true
  rm -rf "$XDG_STATE_HOME"
}
trap leave EXIT
trap '[ -z "$train" ] || kill -TERM "$train"' TERM

on() { # NODE COMMAND...: in a subshell, which becomes srun; steps share the node's CPUs
  exec srun --overlap --nodes=1 --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --nodelist="$1" "${@:2}"
}

on "$head" gen-dist up --block --port "$port" &
steps+=($!)
for node in "${nodes[@]:1}"; do
  on "$node" gen-dist join "$head:$port" --wait 300 --block &
  steps+=($!)
done
(on "$head" gen-dist nodes --address "$head:$port" --wait-for ${#nodes[@]} --wait 300)

gen-dist train "$@" --address "$head:$port" & # here, on the first node, so that a signal reaches it
train=$!
code=0
wait "$train" || code=$?
if kill -0 "$train" 2>/dev/null; then # a signal ended the waiting, not the run
  code=0
  wait "$train" || code=$?
fi
exit "$code"
