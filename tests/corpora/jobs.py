"""Miniatures of the corpora of training jobs below one folder, as they were published or prepared."""

from __future__ import annotations

from pathlib import Path

from datasets import load_dataset_builder

from builders.job_list import JOBS
from builders.prepare import output, prepare
from tests.corpora import librispeech, miniatures

CORPORA = tuple(dict.fromkeys(source.corpus for job in JOBS.values() for source in job.sources))
CONFIGS = {"aishell4": "sessions", "ami": "mix_meetings"}
ALIGNMENTS = "librispeech-alignments"
WORDS = ((0.0, 0.02, ""), (0.02, 0.08, "a"), (0.08, 0.1, ""))
PHONES = ((0.0, 0.02, "sil"), (0.02, 0.08, "AH0"), (0.08, 0.09, "sp"), (0.09, 0.1, "sil"))
OPTIONS = {"meld": {"max_bad": 1.0}}  # holds one that is bad in the published corpus


def write_raw(root: Path, corpora: tuple[str, ...] = CORPORA) -> Path:
    """Write the corpora to ``root/<corpus>/``, LibriSpeech's alignments beside it, and return `root`."""
    for corpus in corpora:
        call = miniatures.write(corpus, root / corpus)
        assert Path(call["data_dir"]).is_relative_to(root / corpus)
    if "librispeech" in corpora:
        write_alignments(root / ALIGNMENTS)
    return root


def write_alignments(folder: Path) -> Path:
    """Write the alignments of two of LibriSpeech's three training utterances, and return `folder`."""
    for stem in ("train-clean-100/60/121082/60-121082-0003", "train-clean-360/14/208/14-208-0000"):
        path = folder / f"{stem}.TextGrid"
        path.parent.mkdir(parents=True)
        path.write_text(librispeech.long_textgrid({"words": WORDS, "phones": PHONES}, 0.1), encoding="utf-8")
    return folder


def write_prepared(raw: Path, root: Path, corpora: tuple[str, ...] = CORPORA) -> Path:
    """Prepare the corpora below `raw` in the configurations that jobs take, and return `root`."""
    for corpus in corpora:
        call = {
            "path": f"builders/{corpus}",
            "name": CONFIGS.get(corpus),
            "data_dir": str(raw / corpus),
            "max_bad": 1.0,
        }
        if corpus == "librispeech":
            call["alignments"] = str(raw / ALIGNMENTS)
        prepare(call, output(str(root), load_dataset_builder(**call)))
    return root
