"""wav2vec 2.0 and XLS-R in MLX, every layer of them.

Baevski et al., "wav2vec 2.0: A Framework for Self-Supervised Learning of Speech Representations",
NeurIPS 2020; Babu et al., "XLS-R", Interspeech 2022.
"""

from __future__ import annotations

from features.conv_transformer.encoder import ConvTransformer

LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}

CONFIGS = {
    "wav2vec2-base": {"model_type": "wav2vec2"},
    "wav2vec2-large": {"model_type": "wav2vec2", **LARGE},
    "wav2vec2-large-lv60": {"model_type": "wav2vec2", **LARGE, **STABLE},
    "wav2vec2-large-xlsr-53": {"model_type": "wav2vec2", **LARGE, **STABLE},
    "wav2vec2-xls-r-300m": {"model_type": "wav2vec2", **LARGE, **STABLE},
}


class Wav2Vec2(ConvTransformer):
    """wav2vec 2.0: see `features.conv_transformer.encoder.ConvTransformer` for layers and windows."""

    prefix = "wav2vec2"
    example = "facebook/wav2vec2-base"


Model = Wav2Vec2
