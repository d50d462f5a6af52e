"""The tokenizer of a text encoder's checkpoint: ``tokenizer.json``, or a WordPiece ``vocab.txt``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.checkpoint import CheckpointError, Spec, read_json
from features.encoder import Tokens
from features.tokens import NONE

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


class TextTokenizer:
    """Texts to tokens, with the tokens that the encoder adds, at most `window` of them.

    Parameters
    ----------
    tokenizer : Tokenizer
    window : int
        Tokens of a text; longer ones are cut, begin and end tokens kept.
    name : str
        Of the encoder, for the warning.
    """

    def __init__(self, tokenizer: Tokenizer, window: int, name: str) -> None:
        tokenizer.no_padding()  # a checkpoint may ask for either
        tokenizer.enable_truncation(window)
        self.tokenizer, self.window, self.name = tokenizer, window, name

    def __call__(self, texts: Sequence[str | None]) -> list[Tokens]:
        """Return the tokens of each text, none for a null; warns where texts are cut."""
        # One at a time: `encode_batch` starts threads, which a forked worker would wait for.
        found = [None if text is None else self.tokenizer.encode(text) for text in texts]
        cut = sum(text is not None and bool(text.overflowing) for text in found)
        if cut:
            warnings.warn(
                f"{self.name}: {cut} of {len(texts)} texts are longer than {self.window} tokens and were cut there",
                stacklevel=2,
            )
        return [NONE if text is None else _tokens(text) for text in found]


def read_tokenizer(spec: Spec, window: int) -> TextTokenizer:
    """Read the tokenizer of a checkpoint, weights or none beside it.

    Raises
    ------
    CheckpointError
        If there is none, or it is damaged.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ImportError("encoders of texts need the package tokenizers: pip install tokenizers") from error
    folder = spec.files
    if folder is None or not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt")):
        raise CheckpointError(f"{spec.name}: no tokenizer.json and no vocab.txt beside config.json")
    if not (folder / "tokenizer.json").is_file():
        return TextTokenizer(_word_piece(folder), window, spec.name)
    try:
        return TextTokenizer(Tokenizer.from_file(str(folder / "tokenizer.json")), window, spec.name)
    except Exception as error:  # the library raises nothing narrower
        raise CheckpointError(f"{folder / 'tokenizer.json'}: damaged ({error}); fetch it again") from error


def _word_piece(folder: Path) -> Tokenizer:
    """Return BERT's tokenizer for a ``vocab.txt``, as `transformers` builds it."""
    from tokenizers.implementations import BertWordPieceTokenizer

    file = folder / "tokenizer_config.json"
    options = read_json(file) if file.is_file() else {}
    # Lines as files have them: `splitlines` would part Chinese vocabularies at U+2028, which is one of their tokens.
    with (folder / "vocab.txt").open(encoding="utf-8") as opened:
        vocabulary = {line.rstrip("\n"): number for number, line in enumerate(opened)}
    made = BertWordPieceTokenizer(
        vocabulary,
        lowercase=options.get("do_lower_case", True),
        strip_accents=options.get("strip_accents"),
        handle_chinese_chars=options.get("tokenize_chinese_chars", True),
    )
    return made._tokenizer


def _tokens(text: Encoding) -> Tokens:
    ids, types, mask = (np.array(part, np.int32) for part in (text.ids, text.type_ids, text.attention_mask))
    return Tokens(ids, types, mask, np.array(text.offsets, np.int32).reshape(-1, 2))
