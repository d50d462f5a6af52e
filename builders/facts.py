"""What a corpus module states: facts of the corpus, and its configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets

from builders.download import Archive

NOT_IN_IDENTITY = ("max_bad", "trust")  # how a run behaves, not what it makes


@dataclass(frozen=True)
class Expected:
    """What a split holds according to the corpus' publication.

    utterances : int, optional
        Recordings that are there.
    hours : float, optional
    absent : int
        Recordings that the published metadata name and that were never published.
    """

    utterances: int | None = None
    hours: float | None = None
    absent: int = 0


@dataclass(frozen=True)
class Facts:
    """What is true of a corpus as a whole.

    access : str
        One line: where to get the corpus, and what to pass.
    root : str
        Regular expression of the folders above the corpus' own paths, cut off members' names.
    download : str
        Address that the archives' names are appended to, where they are open to all.
    archives, archive_patterns : sequence
        The published archives, and patterns of the names under which copies go around.
    placed : sequence of str
        Patterns of archives in folders of the corpus, whose members count as unpacked there.
    channel : str
        Which channel of a multi-channel recording is the mono signal: ``mean`` or its number.
    labels, own_labels
        Columns behind the core ones: shared ones by name, own ones with their `datasets` type.
    audio_columns : sequence of str
        Further audio: stems, sources.
    private_only : str
        Why its licence allows no public copy of the audio, empty where it does.
    absent_ok : bool
        Nobody has all the recordings that the metadata name (videos that are gone): those that are not there are
        listed and counted apart from bad ones, `max_bad` is not about them, and a split without any is left out.
    text_gaps : bool
        Whether the corpus as published has rows without text beside rows with text: laughter, noise.
    version : int
        Output version of the corpus module, raised when its rows change.
    """

    title: str
    homepage: str
    licence: str
    access: str
    citation: str
    language: str | None = None
    phone_set: str | None = None
    channel: str = "mean"
    root: str = ""
    download: str = ""
    archives: Sequence[Archive] = ()
    archive_patterns: Sequence[str] = ()
    placed: Sequence[str] = ()
    labels: Sequence[str] = ()
    own_labels: Mapping[str, Any] = field(default_factory=dict)
    audio_columns: Sequence[str] = ()
    private_only: str = ""
    absent_ok: bool = False
    text_gaps: bool = False
    version: int = 1


@dataclass
class CorpusConfig(datasets.BuilderConfig):
    """A configuration of a corpus.

    splits : mapping of str to Expected
        The splits that it can have; those that are not on disk are left out.
    archives : sequence of str
        Patterns of the archives that it needs; empty stands for all archives of the corpus.
    fetched : sequence of str or None
        Patterns of those that are fetched where no folder is given; empty is `archives`, None is that a folder must
        be given.
    max_bad : float
        Share of quarantined recordings, 0 to 1, above which the run fails.
    trust : bool
        Pass audio that has the target form through without decoding it.
    identity : str
        Set by the builder: what the table is made from and by which version.
    """

    splits: Mapping[str, Expected] = field(default_factory=dict)
    archives: Sequence[str] = ()
    fetched: Sequence[str] | None = ()
    max_bad: float = 0.01
    trust: bool = False
    identity: str = ""

    def create_config_id(self, config_kwargs: dict, custom_features: Any = None) -> str:
        """Name the cache folder by what the table is, not by how the run behaves."""
        kept = {name: value for name, value in config_kwargs.items() if name not in NOT_IN_IDENTITY}
        return super().create_config_id(kept, custom_features)
