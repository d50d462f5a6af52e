"""HuBERT in MLX, every layer of it.

Hsu et al., "HuBERT: Self-Supervised Speech Representation Learning by Masked Prediction of Hidden
Units", TASLP 2021. The architecture is that of wav2vec 2.0; `transformers` draws new weights otherwise.
"""

from __future__ import annotations

from features.conv_transformer import weights
from features.conv_transformer.encoder import ConvTransformer

LARGE = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True,
}  # fmt: skip

CONFIGS = {
    "hubert-base-ls960": {"model_type": "hubert"},
    "hubert-large-ll60k": {"model_type": "hubert", **LARGE},
}


class Hubert(ConvTransformer):
    """HuBERT: see `features.conv_transformer.encoder.ConvTransformer` for layers and windows."""

    prefix = "hubert"
    example = "facebook/hubert-base-ls960"
    rules = [
        (r"^feature_.*(conv|projection)\.bias$", "zeros"),
        (r"^feature_projection\.projection\.weight$", "normal"),
        *weights.RULES,
    ]


Model = Hubert
