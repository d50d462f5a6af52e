"""What every corpus must do, whatever it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from datasets import DatasetDict, concatenate_datasets, interleave_datasets, load_dataset, load_dataset_builder

from builders.errors import TooManyBadFilesError
from builders.phones import PHONE_SETS
from builders.register import HOME, builder_class, corpora
from builders.schema import CORE, SHARED_LABELS
from tests.corpora import miniatures
from tests.corpora.archives import pack

# BCP 47: a language, perhaps a script and a region.
ONTOLOGY = re.compile(r"/[mgt]/\w+")  # ids of AudioSet's ontology look like paths
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|\d{3}))?")


class Lazy(dict):
    """A mapping whose values are made when they are first asked for: a corpus that fails fails alone."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, name: str) -> Any:
        self[name] = self._make(name)
        return self[name]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return Lazy(lambda name: miniatures.write(name, tmp_path_factory.mktemp(name)))


@pytest.fixture(scope="module")
def tables(calls: dict[str, dict[str, Any]]) -> dict[str, DatasetDict]:
    return Lazy(lambda name: load_dataset(f"builders/{name}", **calls[name]))


def by_id(table: Any) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in table}


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for part in parts for text in strings(part)]


@pytest.mark.parametrize("name", corpora())
class TestEveryCorpus:
    def test_schema_is_the_core_then_labels(self, name, tables):
        for table in tables[name].values():
            assert list(table.features)[: len(CORE)] == list(CORE)
            assert {column: table.features[column] for column in CORE} == dict(CORE)
            shared = {column: feature for column, feature in table.features.items() if column in SHARED_LABELS}
            assert shared == {column: SHARED_LABELS[column] for column in shared}

    def test_ids_are_unique_and_rows_are_complete(self, name, tables):
        for table in tables[name].values():
            assert len(set(table["id"])) == len(table) > 0
            assert set(table["corpus"]) == {name}
            assert min(table["duration"]) > 0
            assert all(code is None or LANGUAGE.fullmatch(code) for code in table["language"])

    def test_segments_lie_in_their_order_and_have_a_tier(self, name, tables):
        for table in tables[name].values():
            for row in table:
                for segment in row["segments"]:
                    assert 0 <= segment["start"] <= segment["end"], (row["id"], segment)
                    assert segment["tier"]

    def test_no_cell_holds_a_path_of_this_machine(self, name, calls, tables):
        home = str(Path(calls[name].get("data_dir", "/nowhere")).parent)
        for table in tables[name].values():
            for row in table:
                texts = [text for text in strings(row) if not ONTOLOGY.fullmatch(text)]
                assert not [text for text in texts if home in text or text.startswith(("/", "~"))]

    def test_streaming_gives_the_same_rows(self, name, calls, tables):
        streams = load_dataset(f"builders/{name}", streaming=True, **calls[name])
        assert {split: by_id(stream) for split, stream in streams.items()} == {
            split: by_id(table) for split, table in tables[name].items()
        }

    def test_shuffled_stream_gives_the_same_rows(self, name, calls, tables):
        streams = load_dataset(f"builders/{name}", streaming=True, **calls[name])
        for split, table in tables[name].items():
            assert by_id(streams[split].shuffle(seed=0, buffer_size=3)) == by_id(table)  # reads shards in threads

    def test_two_processes_give_the_same_rows(self, name, calls, tables, tmp_path):
        again = load_dataset(f"builders/{name}", num_proc=2, cache_dir=str(tmp_path), **calls[name])
        for split, table in tables[name].items():
            assert list(again[split]) == list(table)

    def test_facts_and_card_are_there(self, name):
        builder = builder_class(name)
        facts = builder.FACTS
        assert all([facts.title, facts.homepage, facts.licence, facts.access, facts.citation])
        assert "\n" not in facts.access
        assert facts.phone_set is None or facts.phone_set in PHONE_SETS
        assert builder.BUILDER_CONFIGS
        assert all(config.splits for config in builder.BUILDER_CONFIGS)
        card = (HOME / name / "README.md").read_text(encoding="utf-8")
        assert card.startswith("---\n")
        assert "## Citation" in card

    def test_the_readme_lists_it(self, name):
        assert f"(builders/{name}/README.md)" in (HOME.parent / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in corpora() if builder_class(name).NEEDS_DATA])
class TestEveryCorpusOnDisk:
    @pytest.mark.parametrize("suffix", [".tar.gz", ".zip"])
    def test_archive_gives_the_rows_of_the_folder(self, name, suffix, calls, tables, tmp_path):
        call = {**calls[name], "data_dir": str(pack(Path(calls[name]["data_dir"]), tmp_path / f"copy{suffix}"))}
        packed = load_dataset(f"builders/{name}", **call)
        assert {split: by_id(table) for split, table in packed.items()} == {
            split: by_id(table) for split, table in tables[name].items()
        }

    def test_a_ruined_recording_is_quarantined(self, name, calls, tables, tmp_path):
        call = {**calls[name], "data_dir": str(miniatures.write(name, tmp_path)["data_dir"])}
        split, table = max(tables[name].items(), key=lambda item: len(item[1]))
        victim = table[0]["audio_path"]
        (ruined,) = [p for p in tmp_path.rglob(Path(victim).name) if str(p).endswith(victim)][:1]
        hit = sum(row["audio_path"] == victim for part in tables[name].values() for row in part)
        ruined.write_bytes(b"no audio at all")
        before = sum(map(len, tables[name].values()))
        if hit == before:  # all rows are cut from one recording
            with pytest.raises(TooManyBadFilesError):
                load_dataset(f"builders/{name}", **{**call, "max_bad": 1.0})
        else:
            left = load_dataset(f"builders/{name}", **{**call, "max_bad": 1.0})
            assert sum(map(len, left.values())) == before - hit
        report = load_dataset_builder(f"builders/{name}", **call).quarantine_file(split)
        assert victim in {json.loads(line)["member"] for line in report.read_text().splitlines()}


@pytest.mark.parametrize(("one", "other"), list(combinations(corpora(), 2)))
def test_any_two_corpora_concatenate_and_interleave(one, other, tables):
    first, second = (next(iter(tables[name].values())) for name in (one, other))
    both = concatenate_datasets([first, second])
    assert len(both) == len(first) + len(second)
    assert set(both["corpus"]) == {one, other}
    assert len(interleave_datasets([first, second], stopping_strategy="all_exhausted")) >= len(first)
