"""`python -m gen_dist.cluster.start_ray …`: `ray start …` without what training does not use.

The dashboard's server alone takes 90 MB and doubles the time to start. Each process gets a group of its own, so a
terminal's signals do not reach it.
"""

import sys

from gen_dist.cluster.session import adapt_ray

if __name__ == "__main__":
    adapt_ray()
    from ray.scripts.scripts import main

    sys.argv = ["ray", "start", *sys.argv[1:]]
    main()
