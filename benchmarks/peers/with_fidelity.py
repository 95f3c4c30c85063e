"""torch-fidelity's Inception on images, in its environment: `with_fidelity.py WEIGHTS.pth IMAGES.npy FEATURES.npy`.

Prints the seconds that it took, on one thread.
"""

import sys
import time

import numpy as np
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

AT_ONCE = 16


def main() -> None:
    weights, images, features = sys.argv[1:]
    torch.set_num_threads(1)
    extractor = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=weights)
    x_NCHW = torch.from_numpy(np.load(images)).permute(0, 3, 1, 2)
    with torch.no_grad():
        extractor(x_NCHW[:AT_ONCE])
        start = time.perf_counter()
        found = torch.cat([extractor(some)[0] for some in x_NCHW.split(AT_ONCE)])
        print(time.perf_counter() - start)
    np.save(features, found.numpy())


if __name__ == "__main__":
    main()
