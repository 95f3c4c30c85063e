"""RMSprop in one pass over memory."""

import numpy as np

from gen_dist.kernels.checks import check_array
from gen_dist.kernels.jit import kernel


def step(
    weights: np.ndarray,
    gradient: np.ndarray,
    squares: np.ndarray,
    velocity: np.ndarray | None = None,
    *,
    rate: float,
    decay: float,
    epsilon: float,
    momentum: float = 0.0,
) -> None:
    """One step of RMSprop (Tieleman and Hinton 2012), as torch defines it: epsilon is added to the root.

    Args:
        weights: float32, n; changed.
        gradient: float32, n.
        squares: float32, n: the mean of squared gradients, of which `decay` is kept; changed.
        velocity: float32, n: what `momentum` keeps a part of; changed. None: no momentum.
        rate: the learning rate.

    Every number is rounded to float32 where it is computed, in torch's order, on any processor: a gradient's square may
    overflow where its part in the mean does not. Raises ValueError for other types and shapes.
    """
    check_array("weights", weights, np.float32, (None,), written=True)
    check_array("gradient", gradient, np.float32, weights.shape)
    check_array("squares", squares, np.float32, weights.shape, written=True)
    numbers = np.float32(rate), np.float32(decay), np.float32(1 - decay), np.float32(epsilon)
    if velocity is None:
        _step(weights, gradient, squares, *numbers)
    else:
        check_array("velocity", velocity, np.float32, weights.shape, written=True)
        _step_with_momentum(weights, gradient, squares, velocity, *numbers, np.float32(momentum))


@kernel(fastmath=False, noalias=True)
def _step(
    weights: np.ndarray, gradient: np.ndarray, squares: np.ndarray, rate: np.float32, kept: np.float32,
    added: np.float32, epsilon: np.float32,
) -> None:  # fmt: skip
    for i in range(weights.size):
        squares[i] = kept * squares[i] + added * gradient[i] * gradient[i]
        weights[i] -= rate * (gradient[i] / (np.sqrt(squares[i]) + epsilon))


@kernel(fastmath=False, noalias=True)
def _step_with_momentum(
    weights: np.ndarray, gradient: np.ndarray, squares: np.ndarray, velocity: np.ndarray, rate: np.float32,
    kept: np.float32, added: np.float32, epsilon: np.float32, momentum: np.float32,
) -> None:  # fmt: skip
    for i in range(weights.size):
        squares[i] = kept * squares[i] + added * gradient[i] * gradient[i]
        velocity[i] = momentum * velocity[i] + gradient[i] / (np.sqrt(squares[i]) + epsilon)
        weights[i] -= rate * velocity[i]
