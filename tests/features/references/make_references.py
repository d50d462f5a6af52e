"""Write the reference outputs that the encoder tests compare with; needs the `reference` extra.

    pip install 'phonelayers[reference]'
    python tests/features/references/make_references.py --out tests/features/references

`log_mel.npz`     Whisper's feature extractor on noise of several lengths
`whisper_2x32/`   a random Whisper encoder of 2 blocks, 32 wide: checkpoint and hidden states
`whisper_init.json`  mean and standard deviation of every parameter of a new whisper-tiny encoder
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

SHORT = (1, 150, 161, 8000, 20_007)  # samples
LONG = (479_900, 504_000)  # reflects at the end of the window; longer than the window
EVERY = 150  # of the long ones' frames, one in so many is kept


def noise(samples: int) -> np.ndarray:
    """Return noise that rises, so that the loudest frame is near the end; the tests make the same."""
    wave = np.random.RandomState(samples).randn(samples) * np.linspace(0.001, 0.2, samples)
    return wave.astype(np.float32)


def mel(wave: np.ndarray, bands: int) -> np.ndarray:
    """Return the extractor's frames whose centre lies inside the utterance."""
    longer = len(wave) > 480_000
    features = WhisperFeatureExtractor(feature_size=bands)(
        wave, sampling_rate=16_000, truncation=not longer, padding="longest" if longer else "max_length"
    )
    return features["input_features"][0].T[: -(-len(wave) // 160)]


def make_log_mel(out: Path) -> None:
    """Write `log_mel.npz`."""
    arrays = {f"short_{n}_{bands}": mel(noise(n), bands) for n in SHORT for bands in (80, 128)}
    arrays |= {f"long_{n}_80": mel(noise(n), 80)[::-EVERY] for n in LONG}
    np.savez_compressed(out / "log_mel.npz", **arrays)


def small_encoder() -> WhisperEncoder:
    """Return an encoder in which every parameter matters: large weights, no bias 0, no norm 1."""
    torch.manual_seed(0)
    config = WhisperConfig(
        d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=48, init_std=0.15, dropout=0.0
    )
    model = WhisperEncoder(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "layer_norm" in name:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def make_whisper(out: Path) -> None:
    """Write `whisper_2x32/`: config.json, model.safetensors, hidden_states.npz."""
    folder = out / "whisper_2x32"
    folder.mkdir(parents=True, exist_ok=True)
    model = small_encoder()
    wanted = (
        "model_type", "d_model", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim", "num_mel_bins",
        "max_source_positions", "activation_function", "init_std",
    )  # fmt: skip
    config = {name: value for name, value in model.config.to_dict().items() if name in wanted}
    (folder / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    weights = {f"model.encoder.{name}": value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    arrays = {}
    for samples in (8000, 20_007):
        features = WhisperFeatureExtractor()(noise(samples), sampling_rate=16_000, return_tensors="pt")
        with torch.inference_mode():
            states = model(features["input_features"], output_hidden_states=True).hidden_states
        for k, state in enumerate(states):
            arrays[f"hs{k}_{samples}"] = state[0, : -(-samples // 320)].numpy()
    arrays |= shorter_window(model, 20_007)
    np.savez_compressed(folder / "hidden_states.npz", **arrays)


def shorter_window(model: WhisperEncoder, samples: int) -> dict[str, np.ndarray]:
    """Return what the same weights give with a window of 10 s, `max_source_positions` 500; the model keeps it."""
    model.config.max_source_positions = model.max_source_positions = 500
    model.embed_positions = torch.nn.Embedding.from_pretrained(model.embed_positions.weight[:500].clone())
    extractor = WhisperFeatureExtractor(chunk_length=10)
    features = extractor(noise(samples), sampling_rate=16_000, return_tensors="pt")["input_features"]
    with torch.inference_mode():
        states = model(features, output_hidden_states=True).hidden_states
    return {f"short_hs{k}_{samples}": state[0, : -(-samples // 320)].numpy() for k, state in enumerate(states)}


def make_init(out: Path) -> None:
    """Write `whisper_init.json`."""
    torch.manual_seed(0)
    config = WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536)
    state = WhisperEncoder(config).state_dict()
    stats = {
        name: {"shape": list(value.shape), "mean": value.mean().item(), "std": value.std(correction=0).item()}
        for name, value in state.items()
    }
    (out / "whisper_init.json").write_text(json.dumps(stats, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Write all reference files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    out = parser.parse_args().out
    make_log_mel(out)
    make_whisper(out)
    make_init(out)


if __name__ == "__main__":
    main()
