"""Write the reference outputs that the tests of BERT compare with; needs the `reference` extra.

    pip install 'phonelayers[reference]'
    python tests/features/references/make_text_references.py --out tests/features/references

`bert_2x32/`      a random BERT of 2 blocks, 32 wide: checkpoint, text-only tokenizer.json, hidden states
`bert_init.json`  mean and standard deviation of every parameter of a new bert-base
`bert_base.npz`   hidden states of a bert-base whose weights the test draws as well
"""

from __future__ import annotations

import argparse
import json
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

TEXTS = (
    "The cat sat on the mat.",
    "Überall Cats, unaffable!",
    "sat",
    "zzz the 猫 mat " * 7,  # longer than the 24 positions: cut
)
WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat ##s sat on mat . , ! un ##aff ##able uber ##all u ##ber 猫".split()
IDS = [101, 7592, 1010, 2088, 999, 2023, 2003, 1037, 3231, 102]


def word_piece() -> Tokenizer:
    """Return a tokenizer as `bert-base-uncased` has it, with a vocabulary of 22 pieces."""
    tokenizer = Tokenizer(models.WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=64)  # as some checkpoints have it: not wanted here
    return tokenizer


def states_of(model: BertModel, ids: list[int], type_ids: list[int] | None = None) -> list[np.ndarray]:
    """Return the hidden states of one text, every layer (tokens, width)."""
    types = None if type_ids is None else torch.tensor([type_ids])
    with torch.inference_mode():
        out = model(torch.tensor([ids]), token_type_ids=types, output_hidden_states=True)
    return [state[0].numpy() for state in out.hidden_states]


def make_bert(out: Path) -> None:
    """Write `bert_2x32/`: config.json, tokenizer.json, model.safetensors, hidden_states.npz."""
    folder = out / "bert_2x32"
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=24, initializer_range=0.15,
    )  # fmt: skip
    model = BertModel(config).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("bias") or "LayerNorm" in name:  # every parameter matters
            parameter.data += 0.3 * torch.randn_like(parameter)
    fields = (
        "model_type vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act "
        "max_position_embeddings type_vocab_size initializer_range layer_norm_eps pad_token_id"
    ).split()
    kept = {name: config.to_dict()[name] for name in fields}
    (folder / "config.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    weights = {f"bert.{name}": value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = word_piece()
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
    tokenizer.no_padding()
    tokenizer.enable_truncation(config.max_position_embeddings)
    arrays = {}
    for number, text in enumerate(TEXTS):
        tokens = tokenizer.encode(text)
        arrays[f"ids_{number}"], arrays[f"offsets_{number}"] = np.array(tokens.ids), np.array(tokens.offsets)
        for k, state in enumerate(states_of(model, tokens.ids)):
            arrays[f"hs{k}_{number}"] = state
    pair = tokenizer.encode("the cat", "sat on")
    arrays["ids_pair"], arrays["types_pair"] = np.array(pair.ids), np.array(pair.type_ids)
    arrays["hs2_pair"] = states_of(model, pair.ids, pair.type_ids)[-1]
    np.savez_compressed(folder / "hidden_states.npz", **arrays)


def make_bert_base(out: Path) -> None:
    """Write `bert_base.npz` and `bert_init.json`."""
    torch.manual_seed(0)
    model = BertModel(BertConfig()).eval()
    stats = {
        name: {"shape": list(value.shape), "mean": value.mean().item(), "std": value.std(correction=0).item()}
        for name, value in model.state_dict().items()
    }
    (out / "bert_init.json").write_text(json.dumps(stats, indent=1, sort_keys=True) + "\n")
    for name, parameter in model.named_parameters():
        parameter.data = torch.from_numpy(drawn(name, tuple(parameter.shape)))
    states = states_of(model, IDS)
    # every 16th number of every 3rd layer tells as much as all 400 kB
    kept = {f"hs{k}": state[:, ::16] for k, state in enumerate(states) if k % 3 == 0}
    np.savez_compressed(out / "bert_base.npz", ids=np.array(IDS), std=[state.std() for state in states], **kept)


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a parameter that the test draws again, seeded by its name."""
    generator = np.random.RandomState(zlib.crc32(name.encode()))
    values = generator.standard_normal(shape).astype(np.float32)
    return values * np.float32(0.05) + np.float32("LayerNorm.weight" in name)


def main() -> None:
    """Write all reference files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent, help="folder to write to")
    out = parser.parse_args().out
    make_bert(out)
    make_bert_base(out)


if __name__ == "__main__":
    main()
