"""A worker of `benchmarks.fuzz`: judges files FIRST to LAST of a seed, and writes a line of JSON before and after each.

`python -m benchmarks.fuzz_worker SEED FIRST LAST STEP FORMAT...`. First it decodes good files, so that what is compiled
then does not count, and writes READY; only then it limits its address space.
"""

import json
import resource
import sys
from typing import cast

import numpy as np

from benchmarks.fuzz_files import Corpus, Format
from benchmarks.fuzz_judge import judge
from gen_dist.kernels.png_filters import _undo

READY = "ready"
ADDRESS_SPACE = 3 << 30  # bytes; the interpreter with LLVM takes one of them


def main() -> None:
    seed, first, last, step = (int(argument) for argument in sys.argv[1:5])
    formats = cast(list[Format], sys.argv[5:])
    if not bounds_are_checked():
        raise SystemExit("compiled without bounds checks")
    corpus = Corpus(seed)
    for number in range(100):
        judge(corpus.case(number, formats))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    print(json.dumps(READY), flush=True)
    for number in range(first, last, step):
        print(json.dumps(number), flush=True)
        finding = judge(corpus.case(number, formats))
        print(json.dumps([*finding.group, finding.fault, finding.seconds, finding.bytes_added, finding.difference]))


def bounds_are_checked() -> bool:
    """Whether a kernel that reads a little behind an array's end raises IndexError."""
    four, none = np.zeros(4, np.uint8), np.zeros(0, np.uint8)
    try:
        _undo(four, four, 2, none, 1)
    except IndexError:
        return True
    return False


if __name__ == "__main__":
    main()
