"""Write the reference outputs of the visually grounded model; needs the `reference` extra.

    pip install 'phonelayers[reference]'
    python tests/features/references/make_vgs_references.py --out tests/features/references

The model is platalea's speech encoder put together from torch's own modules, with platalea's names.

`vgs_4x16/`  a small random encoder (weights in `pytorch_model.bin`) and what its layers give for noise
`vgs_init.json`  mean and standard deviation of every parameter of a new one
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from features.vgs_mfcc import vgs_mfcc

LENGTHS = (960, 8000, 20_007)
SMALL = {"conv_width": 8, "hidden_size": 16, "attention_size": 6}
WIDE = {"conv_width": 64, "hidden_size": 256, "attention_size": 128, "num_hidden_layers": 2, "conv_bias": True}


def noise(samples: int) -> np.ndarray:
    """Return noise that rises [shape=(samples,), float32]; the tests make the same."""
    wave = np.random.RandomState(samples).randn(samples) * np.linspace(0.001, 0.2, samples)
    return wave.astype(np.float32)


class Attention(nn.Module):
    """Weights over time for each dimension."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden)
        nn.init.orthogonal_(self.hidden.weight.data)
        self.out = nn.Linear(hidden, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, frames, width) to (batch, width)."""
        return (torch.softmax(self.out(torch.tanh(self.hidden(x))), dim=1) * x).sum(dim=1)


class SpeechEncoder(nn.Module):
    """Convolution, recurrent layers, attention, a vector of length 1."""

    def __init__(self, config: dict[str, int]) -> None:
        super().__init__()
        width, hidden, depth = config["conv_width"], config["hidden_size"], config.get("num_hidden_layers", 4)
        self.Conv = nn.Conv1d(39, width, kernel_size=6, stride=2, padding=0, bias=config.get("conv_bias", False))
        self.RNN = nn.GRU(width, hidden, num_layers=depth, bidirectional=True, batch_first=True)
        self.att = Attention(2 * hidden, config["attention_size"])

    def layers(self, mfcc: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return all layers of one utterance (steps, 39): of depth n what the first n layers give alone."""
        x = conv = self.Conv(mfcc.T[None]).transpose(1, 2)
        found = {"conv": conv[0]}
        for depth in range(1, self.RNN.num_layers + 1):
            part = nn.GRU(conv.shape[2], self.RNN.hidden_size, num_layers=depth, bidirectional=True, batch_first=True)
            part.load_state_dict({name: self.RNN.state_dict()[name] for name in part.state_dict()})
            x = part(conv)[0]
            found[f"rnn{depth - 1}"] = x[0]
        found["att"] = nn.functional.normalize(self.att(x), p=2, dim=1)
        return found


class SpeechImage(nn.Module):
    """The whole model, whose names begin with ``SpeechEncoder``; a bit of its other side beside it."""

    def __init__(self, config: dict[str, int]) -> None:
        super().__init__()
        self.SpeechEncoder = SpeechEncoder(config)
        self.ImageEncoder = nn.Linear(3, 2)


def make_model(folder: Path, seed: int) -> None:
    """Write config.json, the weights and hidden_states.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model = SpeechImage(SMALL).eval()
    (folder / "config.json").write_text(json.dumps({"model_type": "vgs", **SMALL}, indent=1, sort_keys=True) + "\n")
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    arrays = {}
    for samples in LENGTHS:
        with torch.inference_mode():
            found = model.SpeechEncoder.layers(torch.tensor(vgs_mfcc(noise(samples)), dtype=torch.float32))
        arrays |= {f"{layer}_{samples}": values.numpy() for layer, values in found.items()}
    np.savez_compressed(folder / "hidden_states.npz", **arrays)


def make_init(out: Path) -> None:
    """Write `vgs_init.json`."""
    torch.manual_seed(0)
    state = SpeechImage(WIDE).SpeechEncoder.state_dict()
    parameters = {
        name: {"shape": list(v.shape), "mean": v.mean().item(), "std": v.std(correction=0).item()}
        for name, v in state.items()
    }
    families = {"vgs": {"config": {"model_type": "vgs", **WIDE}, "parameters": parameters}}
    (out / "vgs_init.json").write_text(json.dumps(families, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Write all reference files, or only the model with other random weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    parser.add_argument("--seed", type=int, help="write only the model, with weights of this seed")
    options = parser.parse_args()
    make_model(options.out / "vgs_4x16", options.seed or 0)
    if options.seed is None:
        make_init(options.out)


if __name__ == "__main__":
    main()
