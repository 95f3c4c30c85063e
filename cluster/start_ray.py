"""`python -m gen_dist.cluster.start_ray FOLDER …`: `ray start …` without what training does not use, and a keeper.

The dashboard's server alone takes 90 MB and doubles the time to start. Each process gets a group of its own, so a
terminal's signals do not reach it.
"""

import sys

from gen_dist.cluster.adapting_ray import adapt_ray
from gen_dist.cluster.keeper import hire_keeper

if __name__ == "__main__":
    adapt_ray()
    from ray.scripts.scripts import cli

    cli.main(["start", f"--temp-dir={sys.argv[1]}", *sys.argv[2:]], prog_name="ray", standalone_mode=False)
    hire_keeper(sys.argv[1])
