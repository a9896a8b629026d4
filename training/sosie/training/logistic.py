"""Logistic regression of a few numbers, in double precision."""

import numpy as np
import numpy.typing as npt

NEWTON_STEPS = 50

Doubles = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]


def regress(design: Doubles, truth: Truth, start: Doubles, ridge: float, counted: Doubles | None = None) -> Doubles:
    """Weights [k] of `design` [n, k], by Newton's method with halved steps from `start` [k].

    Least is the mean cross-entropy plus half of `ridge` times the squared weights, which keeps them finite where the
    design separates the truth. `counted` [n] says how much each row counts; alike unless given.
    """
    weights = start
    share = np.full(len(truth), 1 / len(truth)) if counted is None else counted / counted.sum()

    def loss(candidate: Doubles) -> float:
        value = design @ candidate
        return float((share * (np.logaddexp(0, value) - truth * value)).sum() + ridge / 2 * (candidate**2).sum())

    for _ in range(NEWTON_STEPS):
        chance = 1 / (1 + np.exp(-np.clip(design @ weights, -500, 500)))
        gradient = design.T @ (share * (chance - truth)) + ridge * weights
        curvature = design.T @ (design * (share * chance * (1 - chance))[:, None])
        step = np.linalg.solve(curvature + (ridge + 1e-9) * np.eye(len(weights)), gradient)
        size = 1.0
        while loss(weights - size * step) > loss(weights) and size > 1e-6:  # noqa: PLR2004  # no step is small enough
            size /= 2
        weights = weights - size * step
        if np.abs(size * step).max() < 1e-7:  # noqa: PLR2004  # it has arrived
            break
    return weights
