"""From the labels of a `phones` tier to lower-case ARPAbet and to IPA, as the VGS phoneme analysis spells them."""

from __future__ import annotations

from collections.abc import Iterable

from builders.phones import fold

IPA = {
    "aa": "ɑ", "ae": "æ", "ah": "ə", "ao": "ɔ", "aw": "aʊ", "ay": "aɪ", "b": "b", "ch": "tʃ", "d": "d", "dh": "ð",
    "eh": "ɛ", "er": "ɚ", "ey": "e", "f": "f", "g": "g", "hh": "h", "ih": "ɪ", "iy": "i", "jh": "dʒ", "k": "k",
    "l": "l", "m": "m", "n": "n", "ng": "ŋ", "ow": "o", "oy": "ɔɪ", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ",
    "t": "t", "th": "θ", "uh": "ʊ", "uw": "u", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip
UNKNOWN = "_"
SILENCE = "sil"
ESPEAK = {"en": "en-us", "pt": "pt-br", "fr": "fr-fr", "zh": "cmn"}  # espeak's names where they are others


def arpabet(label: str, phone_set: str) -> str | None:
    """Return the ARPAbet name of a label, without stress, in lower case; ``sil``; None where the set deletes it.

    A label that is one of the 39 phones of the analysis stays itself, also where the 39 classes of recognition
    fold it (``ao``, ``zh``); others are folded (``ix`` to ``ih``), the flap to ``dx``, which the analysis lacks.

    Raises
    ------
    CorpusError
        If the phone set does not have the label.
    """
    name = label.lower().rstrip("012") if phone_set != "espeak_ipa" else label
    return name if name in IPA and phone_set != "espeak_ipa" else fold(label, phone_set)


def ipa(names: Iterable[str | None]) -> str:
    """Return the IPA of ARPAbet names, one behind the other; silence and deleted labels are left out."""
    return "".join(IPA.get(name, UNKNOWN) for name in names if name is not None and name != SILENCE)


def ipa_of_text(text: str, language: str | None) -> str:
    """Return the IPA of a text by phonemizer and espeak, without word boundaries and stress.

    Raises
    ------
    ImportError
        If phonemizer is not installed.
    """
    try:
        from phonemizer import phonemize
    except ImportError:
        raise ImportError(
            "no row has a tier `phones`: align the table first (`python -m features align`), or install phonemizer, "
            "which spells IPA from texts: pip install phonemizer"
        ) from None
    code = (language or "en").split("-")[0]
    spelt = phonemize(text, language=ESPEAK.get(code, code), backend="espeak", strip=True, with_stress=False)
    return "".join(spelt.split())
