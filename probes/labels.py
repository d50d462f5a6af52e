"""From the labels of a tier to the classes of a probe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from builders.errors import CorpusError
from builders.phones import INVENTORIES, PHONE_SETS, fold
from builders.phones import phone_set as phone_set_of
from probes.errors import ProbeError
from probes.segments import TierSegments

Silence = Literal["keep", "drop"]
SILENCES: tuple[Silence, ...] = ("keep", "drop")
SILENCE_CLASS = "sil"
_SILENT = ("silence", "cl", "vcl", "epi")  # of the broad classes; of the 48


class Labeller:
    """Gives each label of a tier its class, phones folded to an inventory of classes by their corpus.

    `inventory` is 39, 48, 61 or broad. The labels of other tiers are classes as they are. Labels that are
    deleted (TIMIT's "q"), null, or silence with ``silence="drop"`` have no class. Silence is what the 39
    classes call so, in every inventory, so that all are measured on the same frames. `phone_set` is for
    tables whose corpus this project does not know, or whose tier was made with another set than the corpus'.
    """

    def __init__(
        self, tier: str, *, silence: Silence = "keep", phone_set: str | None = None, inventory: str = "39"
    ) -> None:
        if inventory not in INVENTORIES:
            raise ProbeError(f"unknown phone classes {inventory!r}: expected one of {list(INVENTORIES)}")
        if inventory != "39" and tier != "phones":
            raise ProbeError(f"phone classes {inventory!r} are for the tier 'phones', not {tier!r}")
        if silence not in SILENCES:
            raise ProbeError(f"unknown silence={silence!r}: expected one of {list(SILENCES)}")
        if phone_set is not None and phone_set not in PHONE_SETS:
            raise ProbeError(f"unknown phone_set={phone_set!r}: expected one of {list(PHONE_SETS)}")
        self.tier = tier
        self.phone_set = phone_set
        self.silence = silence
        self.inventory = inventory
        self._codes: dict[str, int] = {}
        self._known: dict[tuple[str, str | None], int] = {}
        if tier == "phones":
            names = [name for name in INVENTORIES[inventory] if silence == "keep" or not _silent(name, inventory)]
            self._codes = {name: code for code, name in enumerate(names)}

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of their codes."""
        return tuple(self._codes)

    def codes(self, segments: TierSegments, corpora: Sequence[str]) -> np.ndarray:
        """Return the class of each segment, -1 for none.

        Parameters
        ----------
        segments : TierSegments
        corpora : sequence of str
            Name of the corpus of each row that the segments refer to.

        Returns
        -------
        np.ndarray [shape=(segments,), int64]
        """
        names, corpus = np.unique(np.asarray(corpora, dtype=str), return_inverse=True)
        pairs = corpus[segments.rows] * max(1, len(segments.names)) + segments.labels
        different, where = np.unique(pairs, return_inverse=True)
        table = [
            self._code(str(names[pair // len(segments.names)]), segments.names[pair % len(segments.names)])
            for pair in different
        ]
        return np.asarray(table, dtype=np.int64)[where] if table else np.zeros(0, dtype=np.int64)

    def _code(self, corpus: str, label: str | None) -> int:
        if (corpus, label) not in self._known:
            name = self._class(corpus, label)
            code = -1 if name is None else self._codes.setdefault(name, len(self._codes))
            self._known[corpus, label] = code
        return self._known[corpus, label]

    def _class(self, corpus: str, label: str | None) -> str | None:
        if label is None or self.tier != "phones":
            return label
        try:
            phones = self.phone_set or phone_set_of(corpus)
            silent = fold(label, phones) == SILENCE_CLASS
            name = fold(label, phones, self.inventory)
        except (CorpusError, ValueError, LookupError) as error:
            raise ProbeError(
                f"corpus {corpus!r}: no class for the phone label {label!r} ({error}); "
                f"pass the phone set of the tier, one of {list(PHONE_SETS)}"
            ) from error
        return None if silent and self.silence == "drop" else name


def _silent(name: str, inventory: str) -> bool:
    """Return whether a class of an inventory is silence, a closure included."""
    if inventory == "61":
        return fold(name, "timit61") == SILENCE_CLASS
    return name in (SILENCE_CLASS, *_SILENT)
