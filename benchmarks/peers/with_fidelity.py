"""torch-fidelity's Inception on images, in its environment: `with_fidelity.py WEIGHTS.pth IMAGES.npy FEATURES.npy`.

Prints the seconds that it took, on one thread.
"""

import importlib
import importlib.util
import sys
import time
import types
from typing import Any

import numpy as np
import torch

AT_ONCE = 16


def their_inception() -> Any:
    """Without the rest of the package, which wants a torchvision that was built for this torch."""
    found = importlib.util.find_spec("torch_fidelity")
    assert found is not None
    package = sys.modules["torch_fidelity"] = types.ModuleType("torch_fidelity")
    package.__path__ = list(found.submodule_search_locations or ())
    return importlib.import_module("torch_fidelity.feature_extractor_inceptionv3").FeatureExtractorInceptionV3


def main() -> None:
    weights, images, features = sys.argv[1:]
    torch.set_num_threads(1)
    extractor = their_inception()("inception", ["2048"], feature_extractor_weights_path=weights)
    x_NCHW = torch.from_numpy(np.load(images)).permute(0, 3, 1, 2)
    with torch.no_grad():
        extractor(x_NCHW[:AT_ONCE])
        start = time.perf_counter()
        found = torch.cat([extractor(some)[0] for some in x_NCHW.split(AT_ONCE)])
        print(time.perf_counter() - start)
    np.save(features, found.numpy())


if __name__ == "__main__":
    main()
