"""The twelve training jobs, each on miniatures of its corpora: mixed, labelled in one type, resumable."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import datasets
import pytest
from datasets import Dataset, IterableDataset, List, Value

import features
from builders.errors import CorpusError
from builders.job_list import JOBS
from builders.schema import CORE
from builders.training_jobs import load_job
from tests.corpora import jobs
from tests.corpora.miniatures import write

BATCHES = 100
ROW = 0.05  # seconds: a batch is a row, so that few epochs make a hundred of them


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    return jobs.write_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def prepared(raw, tmp_path_factory) -> Path:
    return jobs.write_prepared(raw, tmp_path_factory.mktemp("prepared"))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch) -> None:
    # `datasets` sleeps a while behind each epoch of interleaved Parquet (apache/arrow 45214); ours are of a few rows.
    monkeypatch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.01, raising=False)


def batches_of(dataset, count: int = BATCHES, **options) -> list[dict]:
    made = features.batches(dataset, ["id", "corpus", "label"], max_seconds=ROW, buffer=8, **options)
    found: list[dict] = []
    while len(found) < count:  # epoch after epoch
        found += [batch for _, batch in zip(range(count - len(found)), made, strict=False)]
    return found


def with_audio(dataset, count: int) -> list[dict]:
    made = features.batches(dataset, ["audio", "label"], max_seconds=1.0, buffer=8)
    return [batch for _, batch in zip(range(count), made, strict=False)]


def labels_of(batch: dict) -> list:
    label = batch["label"]
    return label if isinstance(label, list) else label.tolist()


@pytest.mark.parametrize("job", JOBS)
def test_a_hundred_batches_of_a_stream(job, prepared):
    check(job, load_job(job, prepared), BATCHES)


@pytest.mark.parametrize("job", JOBS)
def test_batches_of_corpora_as_they_were_published(job, raw):
    check(job, load_job(job, raw), 16)


def check(job: str, stream, count: int) -> None:
    assert isinstance(stream, IterableDataset)
    assert stream.features == JOBS[job].features
    found = batches_of(stream, count)
    labels = [label for batch in found for label in labels_of(batch)]
    assert len(found) == count
    assert None not in labels
    assert all(labels) or job == "singing_detection"
    assert {corpus for batch in found for corpus in batch["corpus"]} == {source.corpus for source in JOBS[job].sources}
    if classes := set(JOBS[job].classes):
        assert {name for label in labels for name in ([label] if isinstance(label, str) else label)} <= classes
    assert with_audio(stream, 3)[0]["audio"].size


@pytest.mark.parametrize("job", JOBS)
def test_map_style_has_the_rows_of_the_stream(job, raw, prepared):
    table = load_job(job, prepared, streaming=False)
    assert isinstance(table, Dataset)
    assert table.features == JOBS[job].features
    assert table.data.column("label").null_count == 0

    def rows(dataset) -> dict:
        return {(row["corpus"], row["id"]): (row["label"], row["audio"]["bytes"]) for row in dataset}

    assert rows(table) == rows(load_job(job, prepared)) == rows(load_job(job, raw))
    assert len(batches_of(table)) == BATCHES


def test_one_row_of_each_job(prepared):
    seen = {}
    for job in JOBS:
        for row in load_job(job, prepared, streaming=False):
            seen.setdefault((job, row["corpus"]), {})[row["id"]] = row["label"]
    assert seen["ctc_asr", "librispeech"]["60-121082-0003"] == "it was the fellow's last"
    assert seen["phone_recognition", "librispeech"]["60-121082-0003"] == ["sil", "ah", "sil"]
    assert "20-205-0000" not in seen["phone_recognition", "librispeech"]  # has no alignment
    assert set(seen["speaker_embedding", "librispeech"].values()) == {
        "librispeech/60",
        "librispeech/14",
        "librispeech/20",
    }
    assert set(seen["language_identification", "mls"].values()) == {"de"}
    assert seen["sound_events", "esc50"]["1-100038-A-14"] == ["Chirp, tweet"]
    assert seen["sound_events", "fsd50k"]["190579"] == ["Domestic sounds, home sounds"]
    assert seen["sound_events", "audioset"]["-0RWZT-miFs"] == ["Keys jangling", "Car"]
    assert set(seen["noise_augmentation", "musan"].values()) == {"noise", "music", "speech"}
    turns = seen["diarization", "voxconverse"]["abjxc"]
    assert turns == [{"speaker": "abjxc_spk00", "start": 0.4, "end": 7.04}]


def test_stems_without_vocals_are_negatives(prepared):
    found = {(row["corpus"], row["id"].rpartition(".")[2]): row["label"]
             for row in load_job("singing_detection", prepared, streaming=False)}  # fmt: skip
    songs = {name: label for (corpus, name), label in found.items() if corpus == "musdb18"}
    assert {name: songs[name] for name in ("vocals", "drums", "bass", "other")} == {
        "vocals": True, "drums": False, "bass": False, "other": False,
    }  # fmt: skip


def test_sources_are_audio(prepared):
    for row in load_job("source_separation", prepared):
        names = [source["name"] for source in row["label"]]
        wanted = ["vocals", "drums", "bass", "other"] if row["corpus"] == "musdb18" else ["source1", "source2", "noise"]
        assert names == wanted
        assert all(source["audio"]["bytes"].startswith(b"fLaC") for source in row["label"])


@pytest.mark.parametrize("job", ["ctc_asr", "singing_detection", "noise_augmentation"])
@pytest.mark.parametrize("weights", [None, {}])
def test_a_stream_goes_on_where_it_was(job, weights, prepared):
    named = None if weights is None else {source.corpus: 1.0 + n for n, source in enumerate(JOBS[job].sources)}
    whole = [row["id"] for row in load_job(job, prepared, weights=named)]
    for stop in (1, 5, len(whole) - 1):
        stream = load_job(job, prepared, weights=named)
        before = [row["id"] for _, row in zip(range(stop), stream, strict=False)]
        state = stream.state_dict()
        again = load_job(job, prepared, weights=named)
        again.load_state_dict(state)
        assert before + [row["id"] for row in again] == whole


def test_batches_go_on_where_they_were(prepared):
    def made():
        return features.batches(load_job("sound_events", prepared), ["id"], max_seconds=0.5, buffer=10)

    whole = [batch["id"] for batch in made()]
    loop = made()
    before = [batch["id"] for _, batch in zip(range(7), loop, strict=False)]
    again = made()
    again.load_state_dict(loop.state_dict())
    assert before + [batch["id"] for batch in again] == whole


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("job", ["ctc_asr", "sound_events"])
def test_two_nodes_of_two_workers_share_the_rows(job, streaming, prepared):
    def rows(**part) -> list[tuple[str, str]]:
        table = load_job(job, prepared, streaming=streaming)
        made = features.batches(table, ["id", "corpus"], max_seconds=ROW, **part)
        return [pair for batch in made for pair in zip(batch["corpus"], batch["id"], strict=True)]

    parts = [rows(rank=rank, world=2, worker=worker, workers=2) for rank in (0, 1) for worker in (0, 1)]
    assert all(parts)
    assert sorted(pair for part in parts for pair in part) == sorted(rows())


@pytest.mark.parametrize("streaming", [True, False])
def test_weights_are_kept(streaming, prepared):
    weights = {"timit": 1.0, "librispeech": 4.0}
    count = 0
    total = 0
    for seed in range(12):
        drawn = Counter(row["corpus"] for row in load_job("phone_recognition", prepared, weights=weights, seed=seed,
                                                          streaming=streaming))  # fmt: skip
        count, total = count + drawn["librispeech"], total + drawn.total()
    # The mixture ends behind a row of the corpus that was read last, mostly TIMIT: hence the margin of one each time.
    sigma = (0.8 * 0.2 * total) ** 0.5
    assert abs(count - 0.8 * total) < 4 * sigma + 12


def test_weights_by_hours(prepared):
    table = load_job("sound_events", prepared, streaming=False)
    hours = Counter()
    for row in {(row["corpus"], row["id"]): row for row in table}.values():
        hours[row["corpus"]] += row["duration"]
    first = [row["corpus"] for row in load_job("sound_events", prepared, weights="hours", seed=1)]
    share = Counter(first)
    longest = hours.most_common(1)[0][0]
    assert share[longest] / len(first) == pytest.approx(hours[longest] / hours.total(), abs=0.15)


def test_the_seed_decides(prepared):
    weights = {source.corpus: 1.0 for source in JOBS["sound_events"].sources}

    def order(seed):
        return [row["id"] for row in load_job("sound_events", prepared, weights=weights, seed=seed)]

    assert order(3) == order(3) != order(4)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"timit": 1}, "a weight for each of"),
        ("days", "expected 'hours'"),
        ({"timit": 1, "librispeech": 0}, "positive"),
    ],
)
def test_bad_weights(weights, says, prepared):
    with pytest.raises(CorpusError, match=says):
        load_job("phone_recognition", prepared, weights=weights)


def test_unpublished_hours(raw):
    with pytest.raises(CorpusError, match="hours of vocalset are not known"):
        load_job("pitch", raw, weights="hours")


def test_what_is_missing_is_said_in_one_line(tmp_path, caplog):
    jobs.write_raw(tmp_path, ("timit", "librispeech"))
    (tmp_path / jobs.ALIGNMENTS).rename(tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING):
        rows = list(load_job("phone_recognition", tmp_path))
    assert {row["corpus"] for row in rows} == {"timit"}
    assert [record.message for record in caplog.records if "without" in record.message] == [
        "phone_recognition: without librispeech (librispeech-alignments is not there)"
    ]


def test_a_corpus_without_any_label_is_left_out(raw, tmp_path, caplog):
    jobs.write_prepared(raw, tmp_path, ("timit",))
    (tmp_path / "librispeech").symlink_to(raw / "librispeech")
    (tmp_path / jobs.ALIGNMENTS).mkdir()
    rows = list(load_job("phone_recognition", tmp_path))
    assert {row["corpus"] for row in rows} == {"timit"}
    assert "librispeech (none of the first 1000 rows has a label)" in caplog.text


@pytest.mark.parametrize("streaming", [True, False])
def test_rows_without_label_are_counted(streaming, raw):
    left_out = Counter()
    rows = list(load_job("phone_recognition", raw, streaming=streaming, left_out=left_out))
    assert rows
    assert left_out["librispeech"] >= 1  # a stream meets it each time that it begins anew
    assert left_out["timit"] == 0


def test_nothing_there(tmp_path):
    with pytest.raises(CorpusError, match=r"emotion: nothing to read below .* for train: ravdess; crema_d; meld"):
        load_job("emotion", tmp_path)


def test_no_such_split(prepared):
    with pytest.raises(CorpusError, match=r"vocalsound \(no split dev\); sep28k \(no split dev\)"):
        load_job("paralinguistics", prepared, split="dev")
    assert {row["corpus"] for row in load_job("diarization", prepared, split="validation")} == {"ami"}


def test_unknown_job(tmp_path):
    with pytest.raises(CorpusError, match="there is no job 'asr': expected one of"):
        load_job("asr", tmp_path)


def test_an_unmapped_emotion_is_an_error(raw, tmp_path):
    jobs.write_prepared(raw, tmp_path, ("ravdess",))
    edit(tmp_path / "ravdess", "emotion", "bored")
    with pytest.raises(CorpusError, match="unknown emotion 'bored'"):
        list(load_job("emotion", tmp_path))
    with pytest.raises(CorpusError, match="unknown emotion 'bored'"):
        load_job("emotion", tmp_path, streaming=False)


def test_an_unmapped_event_is_an_error(raw, tmp_path):
    jobs.write_prepared(raw, tmp_path, ("esc50", "fsd50k"))
    edit(tmp_path / "esc50", "category", "bagpipe")
    with pytest.raises(CorpusError, match="esc50: unknown category 'bagpipe'"):
        list(load_job("sound_events", tmp_path))
    edit(tmp_path / "fsd50k", "mids", ["/m/none"])
    with pytest.raises(CorpusError, match="'/m/none'"):
        list(load_job("sound_events", tmp_path))


def test_further_configurations_are_mixed_in(raw, tmp_path):
    jobs.write_prepared(raw, tmp_path, ("mls",))
    write("mls_english", tmp_path / "unused")
    (tmp_path / "mls").rename(tmp_path / "mls-de")
    (tmp_path / "common_voice").symlink_to(raw / "common_voice")
    parts = {row["corpus"] for row in load_job("language_identification", tmp_path,
                                               weights={"mls-de": 1, "common_voice": 1})}  # fmt: skip
    assert parts == {"mls", "common_voice"}


def test_label_types():
    for job in JOBS.values():
        assert list(job.features) == [*CORE, "label"]
    assert JOBS["phone_recognition"].kind == JOBS["sound_events"].kind == List(Value("string"))


def edit(folder: Path, column: str, value) -> None:
    """Set a column's first row of a prepared table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = next(folder.glob("data/train-*.parquet"))
    table = pq.read_table(path)
    values = [value, *table.column(column).to_pylist()[1:]]
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type)), path)
