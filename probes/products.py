"""Products of layers with layers, per group of speakers, streamed; linear CKA and PWCCA come from them alone.

For features X (frames, p) and Y (frames, q), centred:

* linear CKA is ``|Y'X|^2 / (|X'X| |Y'Y|)``, Frobenius norms: Kornblith, Norouzi, Lee, Hinton (2019), Similarity of
  neural network representations revisited, ICML.
* PWCCA is the mean of the canonical correlations, each weighted by how much of X its direction accounts for,
  ``sum_j |<h_i, x_j>|``: Morcos, Raghu, Bengio (2018), Insights on representational similarity in neural networks with
  canonical correlation, NeurIPS.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from features.blas import import_mlx

import_mlx()  # says in one line what is missing where MLX has no backend
import mlx.core as mx  # noqa: E402  after that check

BYTES = 512 << 20  # of products in memory at a time
RANK = 1e-6  # directions with less variance than this share of the largest are numerical noise of float32
Pair = tuple[str, str]
# Called with names; yields the group of each frame, (n,), and (n, width) float32 for each name.
Stream = Callable[[Collection[str]], Iterable[tuple[np.ndarray, dict[str, np.ndarray]]]]


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each dimension, (width,) float64; 1 for one that never changes."""

    mean: np.ndarray
    deviation: np.ndarray


@dataclass(frozen=True)
class Products:
    """Sums over the frames of each group, of features less their mean over all groups and over their deviation.

    cross : np.ndarray [shape=(groups, p, q), float64]
        ``X'Y``.
    left, right : np.ndarray [shape=(groups, p) and (groups, q), float64]
        Sums of the frames.
    frames : np.ndarray [shape=(groups,), float64]
    """

    cross: np.ndarray
    left: np.ndarray
    right: np.ndarray
    frames: np.ndarray


def scales(stream: Stream, names: Collection[str]) -> dict[str, Scale]:
    """Return means and deviations of the dimensions of all layers."""
    found = {}
    for name in names:  # one at a time: a pass reads one column
        total, square, frames = 0.0, 0.0, 0
        for _, values in stream([name]):
            part = values[name].astype(np.float64)
            total, square, frames = total + part.sum(axis=0), square + (part**2).sum(axis=0), frames + len(part)
        mean = total / frames
        deviation = np.sqrt(np.maximum(square / frames - mean**2, 0))
        constant = deviation <= 1e-6 * np.maximum(1, np.abs(mean))
        found[name] = Scale(mean, np.where(constant, 1, deviation))
    return found


def products(
    stream: Stream, pairs: Iterable[Pair], scale: dict[str, Scale], groups: int
) -> Iterator[tuple[Pair, Products]]:
    """Yield the products of pairs of layers, as many in a pass over the frames as memory is given to."""
    for some in _portions(list(pairs), scale, groups):
        names = list(dict.fromkeys(name for pair in some for name in pair))
        cross = {(a, b): np.zeros((groups, len(scale[a].mean), len(scale[b].mean))) for a, b in some}
        sums = {name: np.zeros((groups, len(scale[name].mean))) for name in names}
        frames = np.zeros(groups)
        for group, values in stream(names):
            frames += np.bincount(group, minlength=groups)
            for number in np.unique(group):
                own = np.flatnonzero(group == number)
                inputs = {name: _scaled(values[name][own], scale[name]) for name in names}
                for name in names:
                    sums[name][number] += inputs[name].sum(axis=0, dtype=np.float64)
                arrays = {name: mx.array(inputs[name]) for name in names}
                for a, b in some:
                    cross[a, b][number] += np.asarray(arrays[a].T @ arrays[b])
        for a, b in some:
            yield (a, b), Products(cross.pop((a, b)), sums[a], sums[b], frames)


def squared_norms(found: Products, left: Scale, right: Scale, weights: np.ndarray) -> np.ndarray:
    """Return ``|Y'X|^2`` of centred features in their own scale, each group taken as often as the weights say.

    Parameters
    ----------
    weights : np.ndarray [shape=(draws, groups), float64]

    Returns
    -------
    np.ndarray [shape=(draws,), float64]
        Exact for each draw: the means are those of the draw.
    """
    cross = found.cross * left.deviation[:, None] * right.deviation
    a, b = found.left * left.deviation, found.right * right.deviation
    flat = cross.reshape(len(cross), -1)
    n = weights @ found.frames
    among = np.einsum("dg,gh,dh->d", weights, flat @ flat.T, weights, optimize=True)
    both = np.stack([a @ one @ b.T for one in cross])  # (of the product, of a, of b)
    mixed = np.einsum("dg,dh,dk,ghk->d", weights, weights, weights, both, optimize=True)
    norms = (((weights @ one) ** 2).sum(axis=1) for one in (a, b))
    return among - 2 * mixed / n + np.prod(list(norms), axis=0) / n**2


@dataclass(frozen=True)
class Whitening:
    """The directions of a layer that vary.

    whiten : np.ndarray [shape=(kept, width), float64]
        Scaled features to uncorrelated ones of variance 1.
    colour : np.ndarray [shape=(kept, width), float64]
        Covariances of those with the features in their own scale.
    """

    whiten: np.ndarray
    colour: np.ndarray

    @classmethod
    def of(cls, found: Products, scale: Scale) -> Whitening:
        """Take them from the products of a layer with itself."""
        powers, axes = np.linalg.eigh(covariance(found))
        kept = powers > RANK * powers[-1]
        roots, axes = np.sqrt(powers[kept])[:, None], axes[:, kept].T
        return cls(axes / roots, axes * roots * scale.deviation)


def covariance(found: Products) -> np.ndarray:
    """Return the covariances (p, q) of scaled features over all groups."""
    n = found.frames.sum()
    return found.cross.sum(axis=0) / n - np.outer(found.left.sum(axis=0), found.right.sum(axis=0)) / n**2


def pwcca(found: Products, left: Whitening, right: Whitening) -> tuple[float, float]:
    """Return projection-weighted CCA, weighted by the left layer and by the right one."""
    between = left.whiten @ covariance(found) @ right.whiten.T
    u, correlations, v = np.linalg.svd(between, full_matrices=False)
    correlations = np.clip(correlations, 0, 1)
    weights = (np.abs(u.T @ left.colour).sum(axis=1), np.abs(v @ right.colour).sum(axis=1))
    first, second = (float(one @ correlations / one.sum()) for one in weights)
    return first, second


def _scaled(values: np.ndarray, scale: Scale) -> np.ndarray:
    return ((values - scale.mean) / scale.deviation).astype(np.float32)


def _portions(pairs: list[Pair], scale: dict[str, Scale], groups: int) -> Iterator[list[Pair]]:
    """Cut the pairs into lists whose products fit into `BYTES`, one pair at least."""
    part, size = [], 0
    for a, b in pairs:
        more = 8 * groups * len(scale[a].mean) * len(scale[b].mean)
        if part and size + more > BYTES:
            yield part
            part, size = [], 0
        part.append((a, b))
        size += more
    if part:
        yield part
