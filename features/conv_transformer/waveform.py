"""Convolutions over the waveform: 16 kHz samples in, one vector every 20 ms out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from features import kernels
from features.conv_transformer.config import Config

# isort: split
import mlx.core as mx
import mlx.nn as nn

CHUNK = 128  # frames computed together on a CPU: 16 MB behind the first convolution, 64 times as many frames
GROUP_NORM_EPS = 1e-5
VARIANCE_EPS = 1e-7


class ConvLayer(nn.Module):
    """A convolution, in some layers a norm, and GELU."""

    def __init__(self, config: Config, index: int) -> None:
        super().__init__()
        channels = config.conv_dim[index - 1] if index else 1
        out = config.conv_dim[index]
        self.conv = nn.Conv1d(
            channels, out, config.conv_kernel[index], stride=config.conv_stride[index], bias=config.conv_bias
        )
        if config.feat_extract_norm == "layer" or index == 0:
            self.layer_norm = nn.LayerNorm(out)

    def __call__(self, x: mx.array) -> mx.array:
        """Map (batch, samples, channels) to (batch, frames, out)."""
        return self.activate(kernels.conv1d(x, self.conv))

    def activate(self, x: mx.array) -> mx.array:
        """Apply the norm over channels, where there is one, and GELU."""
        return kernels.gelu(kernels.layer_norm(x, self.layer_norm) if "layer_norm" in self else x, overwrite=True)


class FeatureExtractor(nn.Module):
    """The stack of convolutions, with the weight names of Hugging Face.

    The group norm behind the first convolution has one channel a group: it makes each channel's
    mean over the utterance 0 and its variance 1. Both follow from the mean and the covariance of the
    samples under the kernel, so that the norm becomes part of each utterance's own kernel: padding
    never counts, and the stack can go over long audio piece by piece.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.conv_layers = [ConvLayer(config, index) for index in range(len(config.conv_dim))]
        self._grouped = config.feat_extract_norm == "group"
        self._clock = config.clock()

    def __call__(self, inputs: np.ndarray, lengths: np.ndarray) -> mx.array:
        """Return (batch, frames, channels), given waves (batch, samples) with zeros behind each length."""
        kernel, bias = self._first(inputs, lengths)
        parts = [self._chunk(piece, kernel, bias) for piece in self._pieces(inputs)]
        return mx.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]

    def _pieces(self, inputs: np.ndarray) -> Iterator[np.ndarray]:
        frames, hop, field = self._clock.frames(inputs.shape[1]), self._clock.hop, self._clock.field
        chunk = CHUNK if kernels.SLOW_CPU else frames
        for start in range(0, frames, chunk):
            stop = min(start + chunk, frames)
            yield inputs[:, start * hop : (stop - 1) * hop + field]

    def _chunk(self, inputs: np.ndarray, kernel: mx.array, bias: mx.array) -> mx.array:
        first, *others = self.conv_layers
        windows = mx.array(under_kernel(inputs, first.conv))
        x = (windows @ kernel + bias).astype(first.conv.weight.dtype)  # up to here always in float32
        x = kernels.gelu(x, overwrite=True) if self._grouped else first.activate(x)
        for layer in others:
            x = layer(x)
        if kernels.SLOW_CPU:
            mx.eval(x)  # else all chunks would be in memory at once
        return x

    def _first(self, inputs: np.ndarray, lengths: np.ndarray) -> tuple[mx.array, mx.array]:
        """Return the first kernel (1 or batch, taps, channels) and its bias (1 or batch, 1, channels)."""
        layer = self.conv_layers[0]
        kernel = kernels.to_numpy(layer.conv.weight)[:, :, 0].T.astype(np.float64)
        bias = kernels.to_numpy(layer.conv.bias) if "bias" in layer.conv else np.zeros(kernel.shape[1])
        if not self._grouped:
            return mx.array(kernel[None].astype(np.float32)), mx.array(bias[None, None].astype(np.float32))
        weight, shift = kernels.to_numpy(layer.layer_norm.weight), kernels.to_numpy(layer.layer_norm.bias)
        folded = []
        for wave, length in zip(inputs, lengths, strict=True):
            mean, covariance = moments(under_kernel(wave[None, :length], layer.conv)[0])
            variance = np.einsum("kc,kl,lc->c", kernel, covariance, kernel)
            scale = weight / np.sqrt(variance + GROUP_NORM_EPS)
            folded.append((kernel * scale, shift - mean @ kernel * scale))  # the convolution's own bias cancels
        kernels_, biases = (np.stack(part).astype(np.float32) for part in zip(*folded, strict=True))
        return mx.array(kernels_), mx.array(biases[:, None])


def under_kernel(inputs: np.ndarray, conv: nn.Conv1d) -> np.ndarray:
    """Return a view (batch, frames, taps) of the samples (batch, samples) that each output sees."""
    return np.lib.stride_tricks.sliding_window_view(inputs, conv.weight.shape[1], axis=1)[:, :: conv.stride]


def moments(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (taps,) and covariance (taps, taps) of windows (frames, taps), in double precision."""
    count, block = len(windows), 1 << 16
    parts = [windows[start : start + block].astype(np.float64) for start in range(0, count, block)]
    mean = sum(part.sum(axis=0) for part in parts) / count
    return mean, sum((part - mean).T @ (part - mean) for part in parts) / count


def normalise(wave: np.ndarray) -> np.ndarray:
    """Return a wave (samples,) with mean 0 and variance 1, as the feature extractor of `transformers` does."""
    exact = wave.astype(np.float64)
    return ((exact - exact.mean()) / np.sqrt(exact.var() + VARIANCE_EPS)).astype(np.float32)
