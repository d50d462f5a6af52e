"""The part of ``config.json`` that the encoders of the family need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from features.clock import FrameClock
from features.errors import CheckpointError


@dataclass(frozen=True)
class Config:
    """Fields and defaults of `transformers`; `do_normalize` is of ``preprocessor_config.json``.

    conv_dim, conv_kernel, conv_stride : tuple of int
        Channels, taps and stride of each convolution over the waveform.
    feat_extract_norm : str
        ``group``: a norm over time behind the first convolution; ``layer``: one over channels behind each.
    do_stable_layer_norm : bool
        Blocks normalise their input instead of their output, and a norm follows the last.
    do_normalize : bool
        Each utterance is brought to mean 0 and variance 1 first.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    feat_extract_norm: str = "group"
    feat_extract_activation: str = "gelu"
    feat_proj_layer_norm: bool = True
    conv_dim: tuple[int, ...] = (512,) * 7
    conv_stride: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)
    conv_kernel: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)
    conv_bias: bool = False
    num_conv_pos_embeddings: int = 128
    num_conv_pos_embedding_groups: int = 16
    conv_pos_kernel_size: int = 19
    conv_pos_batch_norm: bool = False
    num_buckets: int = 320
    max_bucket_distance: int = 800
    do_stable_layer_norm: bool = False
    do_normalize: bool = True
    adapter_attn_dim: int | None = None

    @classmethod
    def from_dict(cls, config: Mapping[str, Any], name: str) -> Config:
        """Read the fields of a checkpoint's configuration; those that are not there have the defaults.

        Raises
        ------
        CheckpointError
            If a field asks for what is not implemented or does not fit the others.
        """
        fields = {field: value for field, value in config.items() if field in cls.__dataclass_fields__}
        found = cls(**{field: tuple(value) if isinstance(value, list) else value for field, value in fields.items()})
        found._check(name)
        return found

    def _check(self, name: str) -> None:
        convolutions = {len(self.conv_dim), len(self.conv_stride), len(self.conv_kernel)}
        heads, groups = self.num_attention_heads, self.num_conv_pos_embedding_groups
        for wrong, message in (
            (self.hidden_act != "gelu", f"activation {self.hidden_act!r}, expected one of ['gelu']"),
            (self.feat_extract_activation != "gelu", f"activation {self.feat_extract_activation!r}, expected gelu"),
            (self.feat_extract_norm not in ("group", "layer"),
             f"feat_extract_norm {self.feat_extract_norm!r}, expected one of ['group', 'layer']"),
            (len(convolutions) > 1, "conv_dim, conv_stride and conv_kernel differ in length"),
            (self.hidden_size % heads, f"width {self.hidden_size} is no multiple of the {heads} heads"),
            (self.hidden_size % groups, f"width {self.hidden_size} is no multiple of the {groups} groups"),
            (self.adapter_attn_dim is not None, "language adapters (adapter_attn_dim) are not implemented"),
        ):  # fmt: skip
            if wrong:
                raise CheckpointError(f"{name}: {message}")

    def clock(self) -> FrameClock:
        """Return when each frame is: as far apart as all strides, as wide as all kernels see."""
        field, hop = 1, 1
        for kernel, stride in zip(self.conv_kernel, self.conv_stride, strict=True):
            field, hop = field + (kernel - 1) * hop, hop * stride
        return FrameClock(hop=hop, offset=field // 2, field=field, padded=False)
