"""Uploading what was made to the Hub: private unless told otherwise, and resumable file by file."""

from __future__ import annotations

import getpass
import hashlib
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, RepoFile, get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from tqdm import tqdm

from builders.errors import CorpusError
from builders.ledger import FOLDER, Ledger
from builders.shard_files import SHARD

CARD = "README.md"
PRIVATE_ONLY = "private_only"  # field of a card: the licence allows no public copy
FILES, BYTES = 100, 5_000_000_000  # of one commit
TEXT = (".md", ".json", ".jsonl", ".csv", ".html", ".svg", ".txt")


def push(folder: str | Path, repo: str, *, public: bool = False, permitted: bool = False) -> str:
    """Upload a prepared data set, a feature table or a results folder, and return its address.

    Files that the repository has already, by size and SHA-256, are not sent again: after a broken upload
    the same call goes on. The card comes last, and with it the shards go that this folder does not have: those of
    an earlier upload that was cut into another number would be read as well.

    Parameters
    ----------
    folder : path
        Output of a finished run, or a folder of results.
    repo : str
        ``<organisation or user>/<name>``.
    public : bool
        Let everyone read it. Otherwise the repository is private, and one that is public is refused.
    permitted : bool
        Publish it although the corpus' licence does not allow that to everyone: you have the right.

    Raises
    ------
    CorpusError
        If the folder is no finished output, holds something private, may not be public, or the Hub refuses it.
    """
    folder = Path(folder)
    files = _files(folder)
    _check_licence(folder, public, permitted)
    _check_private_words(folder, files)
    api = HfApi(library_name="phonelayers")
    try:
        _repository(api, repo, public)
        there = _remote(api, repo)
        _check_same(api, repo, folder, files, there)
        todo = [name for name in files if name != CARD and there.get(name) != _fingerprint(folder / name)]
        with tqdm(total=len(todo), unit="file", desc=repo) as bar:
            for part in _parts(folder, todo):
                _upload(api, folder, repo, part)
                bar.update(len(part))
        _conclude(api, folder, repo, files, [name for name in there if SHARD.fullmatch(name)])
    except (HfHubHTTPError, RuntimeError, *_network_errors(), OSError) as error:
        raise CorpusError(
            f"{repo}: {str(error).strip().splitlines()[0]}: what is uploaded stays, give the same command again"
        ) from None
    return f"{api.endpoint}/datasets/{repo}"


def _files(folder: Path) -> list[str]:
    """Return the files of an output, without what only its runs need."""
    if any((folder / name).is_file() for name in ("dataset_dict.json", "state.json")):
        raise CorpusError(
            f"{folder} is a table of save_to_disk: `python -m builders prepare` makes one to upload, "
            "or use Dataset.push_to_hub(..., private=True)"
        )
    if (folder / FOLDER).is_dir():
        state = Ledger(folder).status()
        if state["shards"] != state["of"] or not (folder / CARD).is_file():
            raise CorpusError(f"{folder} is not finished ({state['shards']} of {state['of']} shards): finish its run")
    found = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    others = {path.parent.relative_to(folder) for path in folder.rglob(FOLDER)} - {Path()}  # outputs of their own
    names = [
        str(path)
        for path in found
        if not any(part.startswith(".") for part in path.parts) and others.isdisjoint(path.parents)
    ]
    if not names:
        raise CorpusError(f"{folder} holds nothing to upload: expected the output of `prepare`, features or results")
    return names


def _check_licence(folder: Path, public: bool, permitted: bool) -> None:
    fields = card_fields(folder)
    if public and fields.get(PRIVATE_ONLY) and not permitted:
        raise CorpusError(
            f"{folder}: {fields[PRIVATE_ONLY]}: leave out --public, or add --i-have-the-right-to-publish if you have it"
        )


def _check_private_words(folder: Path, files: Sequence[str]) -> None:
    """Refuse to upload a token, a home folder or a path of this machine in any text."""
    token = get_token()
    words = {"a token": token, "your home folder": str(Path.home()), "a path of this machine": str(folder.resolve())}
    if len(getpass.getuser()) > 4:  # "root" and "user" are words
        words["your user name"] = f"/{getpass.getuser()}/"
    for name in (name for name in files if name.endswith(TEXT)):
        with (folder / name).open(encoding="utf-8", errors="replace") as lines:
            for line, (what, word) in itertools.product(lines, words.items()):
                if word and len(word) > 4 and word in line:
                    raise CorpusError(f"{folder / name} holds {what}: remove it, nothing was uploaded")


def _repository(api: HfApi, repo: str, public: bool) -> None:
    try:
        held = api.repo_info(repo, repo_type="dataset")
    except RepositoryNotFoundError:
        api.create_repo(repo, repo_type="dataset", private=not public)
        return
    if not held.private and not public:
        raise CorpusError(f"{repo} is there already and is public: choose another --repo, or say --public")


def _remote(api: HfApi, repo: str) -> dict[str, Any]:
    """Return the fingerprint of each file that the repository has."""
    tree = api.list_repo_tree(repo, repo_type="dataset", recursive=True)
    return {
        item.path: (item.size, item.lfs.sha256 if item.lfs else item.blob_id)
        for item in tree
        if isinstance(item, RepoFile)
    }


def _check_same(api: HfApi, repo: str, folder: Path, files: Sequence[str], there: Mapping[str, Any]) -> None:
    """Refuse a repository with the shards of another data set: they would go with its card."""
    if CARD not in there or not all(any(map(SHARD.fullmatch, names)) for names in (files, there)):
        return
    held, ours = card_fields(Path(api.hf_hub_download(repo, CARD, repo_type="dataset")).parent), card_fields(folder)
    title = "pretty_name"
    if held.get(title) != ours.get(title):
        raise CorpusError(
            f"{repo} holds {held.get(title)!r}, and {folder} is {ours.get(title)!r}: choose another --repo"
        )
    if lost := _splits(held) - _splits(ours):
        raise CorpusError(f"{repo} holds {sorted(lost)} too, which {folder} has not: choose another --repo")


def _splits(fields: Mapping[str, Any]) -> set[str]:
    return {str(split["name"]) for split in (fields.get("dataset_info") or {}).get("splits", ())}


def _fingerprint(path: Path) -> Any:
    """Return a file's size and SHA-256, as the Hub names large files."""
    with path.open("rb") as file:
        return path.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _parts(folder: Path, names: Sequence[str]) -> Iterator[list[str]]:
    """Cut files into commits: not too many files, not too many bytes."""
    part, size = [], 0
    for name in names:
        more = (folder / name).stat().st_size
        if part and (len(part) == FILES or size + more > BYTES):
            yield part
            part, size = [], 0
        part.append(name)
        size += more
    if part:
        yield part


def _network_errors() -> Iterator[type[Exception]]:
    """Yield the base of the errors of whichever HTTP library the Hub's client uses."""
    for library in ("httpx", "httpx2"):
        if library in sys.modules:
            yield sys.modules[library].HTTPError


def _upload(api: HfApi, folder: Path, repo: str, names: Sequence[str]) -> None:
    api.upload_folder(
        repo_id=repo, repo_type="dataset", folder_path=folder, allow_patterns=[_literal(name) for name in names],
        commit_message=f"Upload {names[0]}" if len(names) == 1 else f"Upload {len(names)} files, {names[0]} first",
    )  # fmt: skip


def _conclude(api: HfApi, folder: Path, repo: str, files: Sequence[str], shards: Sequence[str]) -> None:
    """Upload the card; where there are shards, remove those of an earlier upload in the same commit."""
    known = set(files)
    renewed = any(SHARD.fullmatch(name) for name in files)
    gone = [CommitOperationDelete(name) for name in shards if renewed and name not in known]
    card = [CommitOperationAdd(CARD, folder / CARD)] if CARD in known else []
    if card or gone:
        what = [f"Upload {CARD}"] * len(card) + [f"remove {len(gone)} files of an earlier upload"] * bool(gone)
        api.create_commit(repo, [*card, *gone], commit_message=", ".join(what), repo_type="dataset")


def _literal(name: str) -> str:
    """Return a pattern that matches this name alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def card_fields(folder: Path) -> dict[str, Any]:
    """Return the YAML of a folder's card, empty where it has none."""
    text = (folder / CARD).read_text(encoding="utf-8") if (folder / CARD).is_file() else ""
    return (yaml.safe_load(text.split("---\n", 2)[1]) or {}) if text.startswith("---\n") else {}
