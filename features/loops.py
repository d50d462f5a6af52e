"""Loops over float32 values that the compiler turns into vector instructions, for Linux CPUs.

numpy needs ten passes over memory for a GELU and has no reduction along short rows worth the name;
one compiled loop reads and writes each value once. Compiled at the first call and kept on disk by
numba, which librosa brings along. Only `features.kernels` calls these.
"""

from __future__ import annotations

import numba
import numpy as np

f32 = np.float32
LOG2_E = f32(np.log2(np.e))
SHIFT = f32(3 << 22)  # added and taken off again it rounds to a whole number; the low bits hold that number
LOWEST = f32(-126)  # power of two of the smallest normal float32
# 2^f on [-0.5, 0.5]: the terms (f ln 2)^k / k! up to k = 7 leave 5e-9
EXP2 = [f32(np.log(2.0) ** k / float(np.prod(np.arange(1.0, k + 1)))) for k in range(8)]
# Abramowitz and Stegun 7.1.26, error 1.5e-7, for z >= 0:
# erfc(z) = (a1 t + a2 t^2 + ... + a5 t^5) exp(-z^2) with t = 1 / (1 + p z); here z = |x| / sqrt(2)
ERFC_P = f32(0.3275911 / np.sqrt(2))
A1, A2, A3, A4, A5 = (f32(a / 2) for a in (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429))
C0, C1, C2, C3, C4, C5, C6, C7 = EXP2
ONE, HALF, ZERO = f32(1), f32(0.5), f32(0)

# A sum may be split over the lanes of a vector; nothing is assumed about infinities and NaN.
SUMS = {"reassoc", "contract", "nsz"}
compiled = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
reduced = numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=SUMS)


@compiled
def exp(x: np.float32) -> np.float32:
    """Return e^x within 2e-7 of it, relatively, for x <= 0; what is below 1e-38 is about that."""
    y = x * LOG2_E
    y = LOWEST if y < LOWEST else y
    shifted = y + SHIFT
    f = y - (shifted - SHIFT)
    power = C0 + f * (C1 + f * (C2 + f * (C3 + f * (C4 + f * (C5 + f * (C6 + f * C7))))))
    return np.int32(np.float32(power).view(np.int32) + (np.float32(shifted).view(np.int32) << 23)).view(np.float32)


@compiled
def gelu(x: np.ndarray) -> None:
    """Replace x by ``max(x, 0) - |x| erfc(|x| / sqrt(2)) / 2``, which is ``x * Phi(x)`` for either sign.

    In place, as all of these: of two arrays that might overlap the compiler makes a loop that takes
    one value at a time, eight times as slow.

    Parameters
    ----------
    x : np.ndarray [shape=(n,), float32]
    """
    for i in range(x.size):
        v = x[i]
        size = abs(v)
        t = ONE / (ONE + ERFC_P * size)
        tail = t * (A1 + t * (A2 + t * (A3 + t * (A4 + t * A5))))
        positive = v if not v <= ZERO else ZERO
        x[i] = positive - size * tail * exp(-HALF * v * v)


@reduced
def largest(row: np.ndarray) -> np.float32:
    """Return the largest value of a row; eight at a time, as the compiler would not by itself."""
    lanes = np.full(64, -np.inf, np.float32)
    whole = row.size // 64 * 64
    for i in range(0, whole, 64):
        for lane in range(64):
            v = row[i + lane]
            lanes[lane] = v if v > lanes[lane] else lanes[lane]
    found = lanes.max()
    for i in range(whole, row.size):
        found = max(found, row[i])
    return found


@reduced
def exp_rows(scores: np.ndarray, sums: np.ndarray) -> None:
    """Replace each row by ``exp(row - largest)`` and write the sums.

    Parameters
    ----------
    scores : np.ndarray [shape=(rows, columns), float32]
    sums : np.ndarray [shape=(rows,), float32]
    """
    for r in range(scores.shape[0]):
        row = scores[r]
        top = largest(row)
        total = ZERO
        for i in range(row.size):
            row[i] = exp(row[i] - top)
            total += row[i]
        sums[r] = total


@compiled
def add_bias(scores: np.ndarray, gate: np.ndarray, bias: np.ndarray, middle: int) -> None:
    """Add ``gate[i] * bias[middle - i + j]`` to ``scores[i, j]``.

    Parameters
    ----------
    scores : np.ndarray [shape=(rows, columns), float32]
    gate : np.ndarray [shape=(rows,), float32]
    bias : np.ndarray [shape=(distances,), float32]
        By distance from query to key.
    middle : int
        Where the bias of the first row's first column is.
    """
    rows, columns = scores.shape
    for i in range(rows):
        row, near, weight = scores[i], bias[middle - i : middle - i + columns], gate[i]
        for j in range(columns):
            row[j] += weight * near[j]


@reduced
def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> None:
    """Bring each row to mean 0 and variance 1, times `weight`, plus `bias`.

    Parameters
    ----------
    x : np.ndarray [shape=(rows, width), float32]
    weight, bias : np.ndarray [shape=(width,), float32]
    """
    rows, width = x.shape
    for r in range(rows):
        row = x[r]
        mean = ZERO
        for i in range(width):
            mean += row[i]
        mean /= f32(width)
        square = ZERO
        for i in range(width):
            square += (row[i] - mean) * (row[i] - mean)
        scale = ONE / np.sqrt(square / f32(width) + f32(eps))
        for i in range(width):
            row[i] = (row[i] - mean) * scale * weight[i] + bias[i]


@compiled
def sigmoid(x: np.float32) -> np.float32:
    """Return 1 / (1 + e^-x)."""
    e = exp(-abs(x))
    s = ONE / (ONE + e)
    return s if x >= ZERO else e * s


@compiled
def tanh(x: np.float32) -> np.float32:
    """Return the hyperbolic tangent within 2e-7."""
    e = exp(f32(-2) * abs(x))
    t = (ONE - e) / (ONE + e)
    return t if x >= ZERO else -t


@compiled
def gru_gates(gates: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, state: np.ndarray) -> None:
    """Replace the state of one utterance by that of its next frame.

    ``r, z = sigmoid(gates + recurrent)``, ``n = tanh(gates + r * (recurrent + bias))`` and
    ``state = (1 - z) * n + z * state``, torch's order of gates.

    Parameters
    ----------
    gates, recurrent : np.ndarray [shape=(3 * hidden,), float32]
        From the input, with all other biases, and from the state.
    bias : np.ndarray [shape=(hidden,), float32]
    state : np.ndarray [shape=(hidden,), float32]
    """
    hidden = state.size
    for i in range(hidden):
        r = sigmoid(gates[i] + recurrent[i])
        z = sigmoid(gates[hidden + i] + recurrent[hidden + i])
        n = tanh(gates[2 * hidden + i] + r * (recurrent[2 * hidden + i] + bias[i]))
        state[i] = n + z * (state[i] - n)


@compiled
def gru_step(
    gates: np.ndarray, recurrent: np.ndarray, bias: np.ndarray, states: np.ndarray, out: np.ndarray,
    lengths: np.ndarray, step: int, backward: bool,
) -> None:  # fmt: skip
    """Take utterances one frame further and keep their states where they belong.

    Parameters
    ----------
    gates : np.ndarray [shape=(batch, frames, 3 * hidden), float32]
    recurrent : np.ndarray [shape=(active, 3 * hidden), float32]
        Of the first `active` utterances, which are those with more than `step` frames.
    bias, states : np.ndarray [shape=(hidden,), float32], [shape=(batch, hidden), float32]
    out : np.ndarray [shape=(batch, frames, hidden), float32]
    lengths : np.ndarray [shape=(batch,), int64]
    step : int
        Frames done.
    backward : bool
        From an utterance's last frame to its first.
    """
    for row in range(recurrent.shape[0]):
        frame = lengths[row] - 1 - step if backward else step
        gru_gates(gates[row, frame], recurrent[row], bias, states[row])
        out[row, frame] = states[row]


@compiled
def gru_back(
    gates: np.ndarray, own: np.ndarray, bias: np.ndarray, previous: np.ndarray, change: np.ndarray,
    of_gates: np.ndarray, of_own: np.ndarray, step: int,
) -> None:  # fmt: skip
    """Take the gradient of `gru_gates` back over one frame.

    Parameters
    ----------
    gates, own : np.ndarray [shape=(batch, frames, 3 * hidden), float32]
        From the input and from the state.
    bias, previous : np.ndarray [shape=(hidden,), float32], [shape=(batch, frames, hidden), float32]
    change : np.ndarray [shape=(batch, hidden), float32]
        By the state after the frame; then by the one before it, but for what goes through `own`.
    of_gates, of_own : np.ndarray [shape=(batch, frames, 3 * hidden), float32]
        Written.
    """
    batch, hidden = change.shape
    for row in range(batch):
        given, theirs, before = gates[row, step], own[row, step], previous[row, step]
        by_given, by_own, by_state = of_gates[row, step], of_own[row, step], change[row]
        for i in range(hidden):
            r = sigmoid(given[i] + theirs[i])
            z = sigmoid(given[hidden + i] + theirs[hidden + i])
            inner = theirs[2 * hidden + i] + bias[i]
            n = tanh(given[2 * hidden + i] + r * inner)
            by_n = by_state[i] * (ONE - z) * (ONE - n * n)
            by_z = by_state[i] * (before[i] - n) * z * (ONE - z)
            by_r = by_n * inner * r * (ONE - r)
            by_given[i] = by_own[i] = by_r
            by_given[hidden + i] = by_own[hidden + i] = by_z
            by_given[2 * hidden + i] = by_n
            by_own[2 * hidden + i] = by_n * r
            by_state[i] *= z
