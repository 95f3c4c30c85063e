"""The same networks in plain torch loops, as tutorials have them: fp32, torch's own memory format, one process.

    python -m benchmarks.step.plain SYSTEM IMAGES.npy THREADS SECONDS

SYSTEM: dcgan-64, the loop of the PyTorch DCGAN tutorial; vae-64 and vae-mnist, a loop with torch's DataLoader. Prints
seconds a step, one line each, after the first ones.
"""

import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.utils.data import DataLoader, TensorDataset

UNTIMED = 3  # steps at first
BATCH = {"dcgan-64": 128, "vae-64": 128, "vae-mnist": 256}

Step = Callable[[Tensor], None]


def batches(images: np.ndarray, size: int) -> Iterator[Tensor]:
    """Shuffled, for ever; float32 in [0, 1], N x C x H x W."""
    data = TensorDataset(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255)
    loader = DataLoader(data, size, shuffle=True, drop_last=True)
    while True:
        for (batch,) in loader:
            yield batch


def dcgan() -> Step:
    """The tutorial's networks, ngf = ndf = 64, 3 x 64 x 64; D's two backward passes, the fakes made once."""
    widths = [512, 256, 128, 64]
    up: list[nn.Module] = [nn.ConvTranspose2d(100, 512, 4, 1, 0, bias=False), nn.BatchNorm2d(512), nn.ReLU(True)]
    for before, after in pairwise(widths):
        up += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(True)]
    generator = nn.Sequential(*up, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh())
    down: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for before, after in ((64, 128), (128, 256), (256, 512)):
        down += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2, True)]
    discriminator = nn.Sequential(*down, nn.Conv2d(512, 1, 4, 1, 0, bias=False), nn.Flatten(0))
    optimizers = [torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (discriminator, generator)]

    def step(images: Tensor) -> None:
        real, ones, zeros = 2 * images - 1, torch.ones(len(images)), torch.zeros(len(images))
        discriminator.zero_grad()
        cross_entropy(discriminator(real), ones).backward()
        fake = generator(torch.randn(len(images), 100, 1, 1))
        cross_entropy(discriminator(fake.detach()), zeros).backward()
        optimizers[0].step()
        generator.zero_grad()
        cross_entropy(discriminator(fake), ones).backward()  # D's weights get gradients that nobody needs
        optimizers[1].step()

    return step


def vae(encoder: nn.Module, decoder: nn.Module, bernoulli: bool) -> Step:
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.RMSprop(parameters, 1e-3) if bernoulli else torch.optim.Adam(parameters, 1e-3)

    def step(x: Tensor) -> None:
        mean, log_variance = encoder(x).chunk(2, 1)
        logits = decoder(mean + torch.randn_like(mean) * (log_variance / 2).exp())
        kl = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
        if bernoulli:
            reconstruction = cross_entropy(logits, x, reduction="sum")
        else:  # the Gaussian of the best shared variance
            mse = (torch.sigmoid(logits) - x).square().mean()
            reconstruction = 0.5 * x.numel() * mse.log()
        optimizer.zero_grad()
        ((reconstruction + kl) / len(x)).backward()
        optimizer.step()

    return step


def vae_64() -> tuple[nn.Module, nn.Module]:
    widths = [3, 32, 64, 128, 256]
    down: list[nn.Module] = []
    up: list[nn.Module] = [nn.Linear(128, 256 * 16), nn.Unflatten(1, (256, 4, 4)), nn.BatchNorm2d(256), nn.ReLU()]
    for before, after in pairwise(widths):
        down += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    for before, after in ((256, 128), (128, 64), (64, 32)):
        up += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
    encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(256 * 16, 256))
    return encoder, nn.Sequential(*up, nn.ConvTranspose2d(32, 3, 4, 2, 1))


def vae_mnist() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 20))
    decoder = nn.Sequential(nn.Linear(10, 512), nn.ReLU(), nn.Linear(512, 784), nn.Unflatten(1, (1, 28, 28)))
    return encoder, decoder


SYSTEMS: dict[str, Callable[[], Step]] = {
    "dcgan-64": dcgan,
    "vae-64": lambda: vae(*vae_64(), bernoulli=False),
    "vae-mnist": lambda: vae(*vae_mnist(), bernoulli=True),
}


def main() -> None:
    name, path, threads, seconds = sys.argv[1:]
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    step, data = SYSTEMS[name](), batches(np.load(path), BATCH[name])
    done, end = 0, float("inf")
    since = time.perf_counter()
    while time.perf_counter() < end:
        step(next(data))
        now = time.perf_counter()
        done += 1
        if done > UNTIMED:
            print(now - since, flush=True)
        elif done == UNTIMED:
            end = now + float(seconds)
        since = now


if __name__ == "__main__":
    main()
