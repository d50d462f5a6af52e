"""Write the reference outputs of the wav2vec 2.0 family; needs the `reference` extra.

    pip install 'phonelayers[reference]'
    python tests/features/references/make_wav2vec2_references.py --out tests/features/references

One folder per model (`VARIANTS`): a random encoder of 2 blocks, 32 wide, and its hidden states.
`hubert_2x32/` has its weights in `pytorch_model.bin` only, `wav2vec2_2x32/` the old names of weight norm.

`wav2vec2_init.json`  mean and standard deviation of every parameter of new encoders with wide layers
`wav2vec2_frames.npz`  the reference's frame counts for 400 to 40,000 samples
`wavlm_buckets.npz`  buckets of the distances up to 3,000 frames
`tensors.bin`, `tensors.npz`  tensors of several types and layouts, saved by torch and by numpy
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)  # fmt: skip

LENGTHS = (400, 8000, 20_007)
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48,
    "conv_dim": (16,) * 7, "num_conv_pos_embedding_groups": 4, "initializer_range": 0.15,
}  # fmt: skip
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
ODD = {"conv_pos_batch_norm": True, "feat_proj_layer_norm": False, "conv_bias": True}
KERNEL = {"num_conv_pos_embeddings": 16}

# name: configuration, model, fields, do_normalize
VARIANTS = {
    "wav2vec2_2x32": (Wav2Vec2Config, Wav2Vec2Model, {"num_conv_pos_embeddings": 128}, True),
    "wav2vec2_stable_2x32": (Wav2Vec2Config, Wav2Vec2Model, KERNEL | STABLE, False),
    "hubert_2x32": (HubertConfig, HubertModel, KERNEL, True),
    "hubert_batch_norm_2x32": (HubertConfig, HubertModel, {"num_conv_pos_embeddings": 17} | ODD, False),
    "wavlm_2x32": (WavLMConfig, WavLMModel, KERNEL | {"num_buckets": 32, "max_bucket_distance": 50}, False),
    "wavlm_stable_2x32": (WavLMConfig, WavLMModel, KERNEL | STABLE | {"num_buckets": 32}, True),
    "data2vec_audio_2x32": (Data2VecAudioConfig, Data2VecAudioModel, {"conv_bias": True}, True),
}
INIT = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model, STABLE),
    "hubert": (HubertConfig, HubertModel, {"conv_bias": True}),
    "hubert_batch_norm": (HubertConfig, HubertModel, ODD),
    "wavlm": (WavLMConfig, WavLMModel, {}),
    "data2vec_audio": (Data2VecAudioConfig, Data2VecAudioModel, {"conv_bias": True}),
}
OLD_NAMES = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def noise(samples: int) -> np.ndarray:
    """Return noise that rises and is not centred; the tests make the same."""
    wave = 0.05 + np.random.RandomState(samples).randn(samples) * np.linspace(0.001, 0.2, samples)
    return wave.astype(np.float32)


def small_model(name: str, seed: int) -> PreTrainedModel:
    """Return a model in which every parameter matters: no bias 0, no norm 1, and weight norm that norms."""
    configuration, model, fields, _ = VARIANTS[name]
    torch.manual_seed(seed)
    made = model(configuration(**{**SMALL, **fields})).eval()
    for parameter_name, parameter in made.named_parameters():
        if parameter.ndim == 1 or "original" in parameter_name or "gru_rel_pos_const" in parameter_name:
            parameter.data += 0.2 * torch.randn_like(parameter)
    for buffer_name, buffer in made.named_buffers():
        if "running" in buffer_name:
            buffer.data += torch.rand_like(buffer)
    return made


def hidden_states(model: PreTrainedModel, do_normalize: bool) -> dict[str, np.ndarray]:
    """Return what the model gives for noise of each length, one utterance at a time."""
    extractor = Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    arrays = {}
    for samples in LENGTHS:
        values = extractor(noise(samples), sampling_rate=16_000, return_tensors="pt")["input_values"]
        with torch.inference_mode():
            out = model(values, output_hidden_states=True)
            arrays[f"conv_{samples}"] = model.feature_extractor(values)[0].T.numpy()
        arrays |= {f"hs{k}_{samples}": state[0].numpy() for k, state in enumerate(out.hidden_states)}
        arrays[f"last_{samples}"] = out.last_hidden_state[0].numpy()
    return arrays


def make_model(folder: Path, name: str, seed: int = 0) -> None:
    """Write config.json, preprocessor_config.json, weights and hidden_states.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration, _, fields, do_normalize = VARIANTS[name]
    model = small_model(name, seed)
    config = {"model_type": configuration.model_type, **SMALL, **fields}
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    preprocessor = {"do_normalize": do_normalize, "feature_size": 1, "sampling_rate": 16_000}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=1, sort_keys=True) + "\n")
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    if name == "hubert_2x32":
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(old_names(state) if name == "wav2vec2_2x32" else state, folder / "model.safetensors")
    np.savez_compressed(folder / "hidden_states.npz", **hidden_states(model, do_normalize))


def old_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Name weight norm as torch did before 2.0, below the prefix of a model with a head."""
    renamed = {}
    for name, value in state.items():
        for new, old in OLD_NAMES.items():
            name = name.replace(new, old)
        renamed[f"wav2vec2.{name}"] = value
    return renamed


def make_init(out: Path) -> None:
    """Write `wav2vec2_init.json`; the positional convolution as it acts, weight norm applied."""
    families = {}
    for family, (configuration, model, fields) in INIT.items():
        torch.manual_seed(0)
        config = {"num_hidden_layers": 1, **fields}
        made = model(configuration(**config))
        state = {name: value for name, value in made.state_dict().items() if "parametrizations" not in name}
        if hasattr(getattr(made.encoder.pos_conv_embed, "conv", None), "parametrizations"):
            state["encoder.pos_conv_embed.conv.weight"] = made.encoder.pos_conv_embed.conv.weight.detach()
        unused = ("masked_spec_embed", "num_batches_tracked")
        families[family] = {"config": {"model_type": configuration.model_type, **config}, "parameters": {
            name: {"shape": list(v.shape), "mean": v.mean().item(), "std": v.std(correction=0).item()}
            for name, v in state.items() if not name.endswith(unused)
        }}  # fmt: skip
    (out / "wav2vec2_init.json").write_text(json.dumps(families, indent=1, sort_keys=True) + "\n")


def make_counts(out: Path) -> None:
    """Write `wav2vec2_frames.npz` and `wavlm_buckets.npz`."""
    model = Wav2Vec2Model(Wav2Vec2Config(**{**SMALL, **KERNEL}))
    counts = model._get_feat_extract_output_lengths(torch.arange(400, 40_001)).numpy()
    np.savez_compressed(out / "wav2vec2_frames.npz", frames=counts.astype(np.int16))
    attention = WavLMModel(WavLMConfig(**{**SMALL, **KERNEL, "num_buckets": 320})).encoder.layers[0].attention
    found = attention._relative_positions_bucket(torch.arange(-3000, 3001)).numpy()
    np.savez_compressed(out / "wavlm_buckets.npz", buckets=found.astype(np.int16))


def make_tensors(out: Path) -> None:
    """Write `tensors.bin` and `tensors.npz`."""
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    tensors = {
        "float32": base, "transposed": base.T, "slice": base[1:3, ::2], "float16": base.half(),
        "bfloat16": base.bfloat16(), "float64": base.double(), "int64": torch.arange(5), "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 3), "parameter": torch.nn.Parameter(base[0]), "bool": base > 0,
    }  # fmt: skip
    torch.save(tensors, out / "tensors.bin")
    plain = {
        name: (value.float() if value.dtype == torch.bfloat16 else value).detach().numpy()
        for name, value in tensors.items()
    }
    np.savez_compressed(out / "tensors.npz", **plain)


def main() -> None:
    """Write all reference files, or only models with other random weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    parser.add_argument("--seed", type=int, help="write only the models, with weights of this seed")
    options = parser.parse_args()
    for name in VARIANTS:
        make_model(options.out / name, name, options.seed or 0)
    if options.seed is None:
        make_init(options.out)
        make_counts(options.out)
        make_tensors(options.out)


if __name__ == "__main__":
    main()
