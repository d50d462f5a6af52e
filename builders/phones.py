"""Phone sets and how each folds to an inventory of classes: TIMIT's 61, Lee and Hon's 48 and 39, broad ones.

Source: Lee, K.-F., Hon, H.-W. (1989). Speaker-independent phone recognition using hidden Markov
models. IEEE TASSP 37(11). The TIMIT tables are the ones that Kaldi's ``phones.60-48-39.map`` has; the broad
classes are the headings of TIMIT's ``phoncode.doc``, with the closures as silence, as the 39 have them.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType

from builders.errors import CorpusError

CLASSES39 = tuple(
    "aa ae ah aw ay b ch d dh dx eh er ey f g hh ih iy jh k l m n ng ow oy p r s sh sil t th uh uw v w y z".split()
)

# Labels that keep their own name are not repeated here. None: the label is deleted (the glottal stop).
TIMIT61 = {
    "ao": "aa", "ax": "ah", "ax-h": "ah", "axr": "er", "bcl": "sil", "dcl": "sil", "el": "l", "em": "m",
    "en": "n", "eng": "ng", "epi": "sil", "gcl": "sil", "h#": "sil", "hv": "hh", "ix": "ih", "kcl": "sil",
    "nx": "n", "pau": "sil", "pcl": "sil", "q": None, "tcl": "sil", "ux": "uw", "zh": "sh",
}  # fmt: skip

# CMU dictionary and Montreal Forced Aligner; stress digits are stripped before the look-up. spn: spoken noise; oov: a
# word that the dictionary of an alignment lacked.
# Sphinx writes noises and filled pauses between plus signs.
ARPABET = {
    "ao": "aa", "zh": "sh", "sp": "sil", "spn": None, "oov": None, "": "sil", "+spn+": None, "+nsn+": None,
    "+breath+": None, "+cough+": None, "+noise+": None, "+smack+": None, "+uh+": None, "+um+": None,
}  # fmt: skip

# IPA names of espeak-ng's English accents, without stress marks; every label folds by its sound, not by
# the word it is in: [d] for "the" in en-029 is d. Vowels that run into r or a schwa fold by their nucleus.
ESPEAK_IPA: dict[str, str | None] = {
    "_": "sil",
    # stops, affricates; closures that are silent are "_" already, as TIMIT's fold to sil
    "b": "b", "d": "d", "ɡ": "g", "p": "p", "t": "t", "k": "k", "tʃ": "ch", "dʒ": "jh",
    "ɾ": "dx",  # American tap, "water"
    "t̪": "t",  # en-029 "thick", a dental stop
    "f": "f", "v": "v", "θ": "th", "ð": "dh", "s": "s", "z": "z", "ʃ": "sh", "h": "hh",
    "ʒ": "sh",  # as TIMIT's zh
    "m": "m", "n": "n", "ŋ": "ng", "n̩": "n",
    "l": "l", "əl": "l",  # syllabic l, as TIMIT's el
    "ɹ": "r", "r": "r",  # r: Scottish trill
    "w": "w", "ʍ": "w", "j": "y", "ʲ": "y",  # ʲ: Scottish glide between vowels
    "iː": "iy", "i": "iy", "iə": "iy",  # year, theories
    "ɪ": "ih", "ᵻ": "ih", "ɪɹ": "ih",
    "eɪ": "ey", "eː": "ey", "e": "ey",  # monophthongs of Scottish face, happy
    "ɛ": "eh", "ɛə": "eh", "eə": "eh", "ɛɹ": "eh",  # care
    "æ": "ae", "a": "ae",
    "ɑː": "aa", "ɑːɹ": "aa", "ɑə": "aa", "aː": "aa", "a:": "aa", "aa": "aa",  # start; father, past
    "ɒ": "aa", "ɔː": "aa", "ɔ": "aa", "ɔːɹ": "aa", "ɔə": "aa", "oə": "aa", "o": "aa",  # as TIMIT's ao; door, north
    "ʌ": "ah", "ə": "ah", "ɐ": "ah",
    "ɜː": "er", "ɜ": "er", "ɚ": "er", "əɹ": "er", "ʌɹ": "er",  # nurse, letter
    "əɪ": "er",  # New York's nurse
    "ʊ": "uh", "ʊə": "uh", "ʊɹ": "uh",  # tourist
    "uː": "uw", "ʉː": "uw", "ʉ": "uw", "ʉɹ": "uw",  # Scottish goose and foot are one vowel
    "oʊ": "ow", "əʊ": "ow", "oː": "ow",
    "aɪ": "ay", "aɪə": "ay", "aɪɚ": "ay", "aʊ": "aw", "ʌʉ": "aw", "ɔɪ": "oy",
}  # fmt: skip

# What the 48 classes keep apart and the 39 merge. All else is the same in both.
_TIMIT48 = {
    "ao": "ao", "ax": "ax", "ax-h": "ax", "bcl": "vcl", "dcl": "vcl", "gcl": "vcl", "kcl": "cl", "pcl": "cl",
    "tcl": "cl", "el": "el", "en": "en", "epi": "epi", "ix": "ix", "zh": "zh",
}  # fmt: skip
_ARPABET48 = {"ao": "ao", "zh": "zh"}
_ESPEAK48 = {
    "ɔː": "ao", "ɔ": "ao", "ɔːɹ": "ao", "ɔə": "ao", "oə": "ao", "o": "ao", "ʒ": "zh", "ə": "ax", "ɐ": "ax", "ᵻ": "ix",
    "əl": "el", "n̩": "en",
}  # fmt: skip
_FINER48 = {"timit61": _TIMIT48, "arpabet": _ARPABET48, "espeak_ipa": _ESPEAK48}

CLASSES48 = tuple(sorted({*CLASSES39, *_TIMIT48.values()}))
CLASSES61 = tuple(sorted({*CLASSES39, *TIMIT61} - {"sil"}))
BROAD = {
    "stop": "b d dx g k p t",
    "affricate": "ch jh",
    "fricative": "dh f s sh th v z",
    "nasal": "m n ng",
    "semivowel": "hh l r w y",  # "semivowels and glides", where TIMIT has hh and hv
    "vowel": "aa ae ah aw ay eh er ey ih iy ow oy uh uw",
    "silence": "sil",
}
_BROAD_OF = {name: broad for broad, names in BROAD.items() for name in names.split()}
INVENTORIES = MappingProxyType({"61": CLASSES61, "48": CLASSES48, "39": CLASSES39, "broad": tuple(BROAD)})

_TABLES = {"timit61": TIMIT61, "arpabet": ARPABET, "espeak_ipa": ESPEAK_IPA}
PHONE_SETS = tuple(_TABLES)


@cache
def fold_table(phone_set: str) -> MappingProxyType[str, str | None]:
    """Return label to class (None: deleted) of a phone set, without stress and in lower case.

    Raises
    ------
    CorpusError
        If there is no phone set of that name.
    """
    if phone_set not in _TABLES:
        raise CorpusError(f"unknown phone set {phone_set!r}: expected one of {list(PHONE_SETS)}")
    own = {} if phone_set == "espeak_ipa" else {name: name for name in CLASSES39}
    return MappingProxyType({**own, **_TABLES[phone_set]})


def fold(label: str, phone_set: str, inventory: str = "39") -> str | None:
    """Return the class of an inventory that a label belongs to, None where the 39 classes delete the label.

    Parameters
    ----------
    label, phone_set : str
    inventory : str
        One of `INVENTORIES`. In the 61, where nothing is deleted, the glottal stop has its class.

    Raises
    ------
    CorpusError
        If the phone set does not have the label, or is too coarse for the inventory.
    """
    table = fold_table(phone_set)
    name = label if phone_set == "espeak_ipa" else label.lower()
    name = name.rstrip("012") if phone_set == "arpabet" else name
    if inventory not in INVENTORIES:
        raise CorpusError(f"unknown inventory {inventory!r}: expected one of {list(INVENTORIES)}")
    if name not in table:
        raise CorpusError(f"phone {label!r} is not in the phone set {phone_set}: was the table made with another?")
    if inventory == "61":
        return _own_class(name, phone_set)
    if inventory == "48":
        return _FINER48.get(phone_set, {}).get(name, table[name])
    return _BROAD_OF[table[name]] if inventory == "broad" and table[name] else table[name]


def _own_class(name: str, phone_set: str) -> str:
    if phone_set != "timit61" or name not in CLASSES61:
        raise CorpusError(f"the 61 classes are TIMIT's: {name!r} of the phone set {phone_set} has none, try 48")
    return name


def phone_set(corpus: str) -> str:
    """Return the phone set of a corpus' ``phones`` tier; ARPAbet, the aligners', where it has none of its own."""
    from builders.register import builder_class  # here, so that the fold tables load without `datasets`

    return builder_class(corpus).FACTS.phone_set or "arpabet"
