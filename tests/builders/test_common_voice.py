from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import soundfile as sf
from datasets import load_dataset

import builders  # noqa: F401  registers
from builders.common_voice.published import LOCALES, published
from builders.corpus import Expected
from builders.errors import CorpusError
from builders.register import builder_class
from tests.corpora import common_voice
from tests.corpora.archives import SUFFIXES, pack

REFERENCE = Path(__file__).parents[1] / "corpora" / "references" / "common_voice.json"
CLIP = "common_voice_tr_{}"


def load(path: Path, *config: str, **options):
    return load_dataset("builders/common_voice", *config, data_dir=str(path), **options)


def rows(table) -> dict[str, dict]:
    return {row["id"]: row for row in table}


def without_place(table) -> list[dict]:
    kept = ({name: value for name, value in row.items() if name != "audio_path"} for row in table)
    return sorted(kept, key=lambda row: row["id"])


@pytest.fixture
def top(tmp_path: Path) -> Path:
    return common_voice.write(tmp_path / "corpus")


# Rows


def test_rows_by_hand(top):
    table = load(top)
    assert {split: sorted(part["id"]) for split, part in table.items()} == {
        "train": [CLIP.format(17341258), CLIP.format(17341259)],
        "validation": [CLIP.format(17341260)],
        "test": [CLIP.format(17341261)],
    }
    row = rows(table["train"])[CLIP.format(17341258)]
    assert row["text"] == 'Bu "kitap çok güzel.'  # one quotation mark: quotes are letters
    assert row["speaker_id"] == common_voice.SPEAKERS["a"]
    assert (row["gender"], row["gender_raw"], row["age"], row["accent"]) == (
        "male",
        "male_masculine",
        "fourties",
        "İstanbul",
    )
    assert (row["language"], row["locale"], row["variant"], row["segment"]) == ("tr", "tr", None, None)
    assert (row["up_votes"], row["down_votes"], row["sentence_id"]) == (2, 0, "5a7f")
    assert row["sentence_domain"] == ["general"]
    assert row["audio_path"] == "cv-corpus-17.0-2024-03-15/tr/clips/common_voice_tr_17341258.mp3"
    assert row["source"] == {"format": "MP3/MPEG_LAYER_III", "sampling_rate": 32_000, "channels": 1}
    frames = len(sf.read(top.parent / row["audio_path"])[0])
    assert row["duration"] == frames / 2 / 16_000
    row = rows(table["train"])[CLIP.format(17341259)]
    assert row["text"] == "  Boşluk\u200bla başlar "  # as it stands in the table
    assert row["sentence_domain"] == ["general", "healthcare"]
    assert row["source"]["sampling_rate"] == 48_000
    (row,) = table["validation"]
    assert (row["gender"], row["age"], row["accent"], row["segment"]) == ("female", None, None, "Singleword Benchmark")
    (row,) = table["test"]
    assert (row["gender"], row["gender_raw"]) == ("other", "non-binary")


@pytest.mark.parametrize(
    ("config", "clips"),
    [("validated", range(17341258, 17341263)), ("invalidated", [17341263]), ("other", [17341264])],
)
def test_overlapping_tables_are_configurations(top, config, clips):
    table = load(top, config)
    assert list(table) == [config]
    assert sorted(table[config]["id"]) == [CLIP.format(number) for number in clips]


@pytest.mark.parametrize("release", [release for release in common_voice.COLUMNS if release != "1"])
def test_releases_differ_in_columns_only(top, tmp_path, release):
    found = {split: without_place(part) for split, part in load(common_voice.write(tmp_path, release)).items()}
    columns = common_voice.COLUMNS[release].split()
    for split, part in load(top).items():
        expected = without_place(part)
        for row in expected:
            row["gender_raw"] = row["gender_raw"] if "sentence_id" in columns else row["gender"]
            for column in ("sentence_id", "sentence_domain", "segment"):
                row[column] = row[column] if column in columns else None
        assert found[split] == expected


def test_first_release_has_hashes_without_a_suffix_and_no_column_locale(tmp_path):
    top = common_voice.write(tmp_path, "1")
    name = common_voice.clip_name(17341260, "1", "tr")
    (row,) = load(top)["validation"]
    assert (row["id"], row["text"], row["language"]) == (name, "Evet.", "tr")  # from the folder's name
    assert row["audio_path"] == f"cv-corpus-1_tr/clips/{name}.mp3"
    archive = Path(shutil.make_archive(str(tmp_path / "cv-corpus-1_tr"), "gztar", top))  # no top folder
    for config in ("default", "tr"):
        (row,) = load(archive, config)["validation"]
        assert (row["id"], row["language"], row["audio_path"]) == (name, "tr", f"clips/{name}.mp3")
    archive = archive.rename(tmp_path / "x.tar.gz")
    assert load(archive)["validation"][0]["language"] is None
    assert load(archive, "tr")["validation"][0]["language"] == "tr"


@pytest.mark.parametrize(
    ("raw", "gender"),
    [
        ("male", "male"), ("female", "female"), ("other", "other"), ("", None), ("male_masculine", "male"),
        ("female_feminine", "female"), ("transgender", "other"), ("non-binary", "other"), ("intersex", "other"),
        ("do_not_wish_to_say", None),
    ],
)  # fmt: skip
def test_genders(top, raw, gender):
    path = top / "tr/dev.tsv"
    path.write_text(path.read_text().replace("female_feminine", raw))
    (row,) = load(top)["validation"]
    assert (row["gender"], row["gender_raw"]) == (gender, raw or None)


# Layouts


def test_any_level_gives_the_same_rows(top):
    expected = {split: without_place(part) for split, part in load(top).items()}
    for path in (top.parent, top / "tr"):
        assert {split: without_place(part) for split, part in load(path).items()} == expected


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_archive_gives_the_rows_of_the_folder(top, tmp_path, suffix):
    folder = tmp_path / "archives"
    folder.mkdir()
    archive = pack(top, folder / f"cv-corpus-17.0-2024-03-15-tr{suffix}")
    for config in ("default", "tr", "validated"):
        for split, part in load(top, config).items():
            assert rows(load(archive, config)[split]) == rows(load(folder, config)[split]) == rows(part)


def test_several_languages(tmp_path):
    for locale in ("tr", "zh-CN", "nan-tw"):
        common_voice.write(tmp_path / locale, locale=locale)
        pack(tmp_path / locale / "cv-corpus-17.0-2024-03-15", tmp_path / f"cv-corpus-17.0-2024-03-15-{locale}.tar.gz")
        shutil.rmtree(tmp_path / locale)
    assert sorted(load(tmp_path)["train"]["language"]) == ["nan-TW", "nan-TW", "tr", "tr", "zh-CN", "zh-CN"]
    assert set(load(tmp_path, "zh-CN")["train"]["locale"]) == {"zh-CN"}
    table = load(tmp_path, "validated", locale="nan-tw")
    assert set(table["validated"]["locale"]) == {"nan-tw"}
    assert len(table["validated"]) == 5
    with pytest.raises(CorpusError, match="no utterances of common_voice"):
        load(tmp_path, "ab")


def test_flat_archives_of_several_languages_are_told_apart(tmp_path):
    for locale in ("tr", "cy"):
        top = common_voice.write(tmp_path / locale, "4-2019-12-10", locale)
        shutil.make_archive(str(tmp_path / f"cv-corpus-4-2019-12-10_{locale}"), "gztar", top)
        shutil.rmtree(tmp_path / locale)
    with pytest.raises(CorpusError, match=r"cv-corpus-4-2019-12-10_cy\.tar\.gz, .* pass one of them as data_dir"):
        load(tmp_path)
    assert set(load(tmp_path, "cy")["train"]["id"]) == {"common_voice_cy_17341258", "common_voice_cy_17341259"}


def test_archives_named_by_their_language_only(tmp_path):
    for locale in ("tr", "cy"):
        top = common_voice.write(tmp_path / locale, "4-2019-12-10", locale)
        shutil.make_archive(str(tmp_path / "d" / locale), "gztar", top)
    with pytest.raises(CorpusError, match=r"cy\.tar\.gz, tr\.tar\.gz have no folders that tell them apart"):
        load(tmp_path / "d")
    (row,) = load(tmp_path / "d" / "tr.tar.gz")["validation"]
    assert (row["language"], row["locale"]) == ("tr", "tr")


def test_archives_named_by_their_language_with_folders_inside(tmp_path):
    for locale in ("tr", "cy"):
        top = common_voice.write(tmp_path / locale, locale=locale)
        inside = top.relative_to(tmp_path / locale).parts[0]
        shutil.make_archive(str(tmp_path / "d" / locale), "gztar", tmp_path / locale, inside)
    assert {row["language"] for row in load(tmp_path / "d")["train"]} == {"tr", "cy"}


@pytest.mark.parametrize(("name", "language"), [("cv", None), ("tmp", None), ("tr", "tr")])
def test_name_of_a_flat_folder_is_a_language_only_if_it_can_be(tmp_path, name, language):
    top = common_voice.write(tmp_path / "made", "1")  # names of clips are hashes, the tables have no column locale
    shutil.copytree(top, tmp_path / name)
    (row,) = load(tmp_path / name)["validation"]
    assert row["language"] == language
    if name != "tmp":
        assert len(load(tmp_path / name, "tr")["validation"]) == 1


def test_delta_release_has_no_splits(tmp_path):
    top = common_voice.write(tmp_path, delta=True)
    assert len(load(top, "validated")["validated"]) == 5
    with pytest.raises(CorpusError, match="delta releases have validated, invalidated and other only"):
        load(top)


def test_two_releases_in_one_folder_are_an_error(top):
    common_voice.write(top.parent, "13.0-2023-03-09")
    with pytest.raises(CorpusError, match="utterance ids occur twice"):
        load(top.parent)


@pytest.mark.parametrize("packed", [False, True])
def test_copy_on_the_hub(top, tmp_path, packed):
    hub = common_voice.write_hub(tmp_path / "hub")
    if packed:
        for shard in sorted(hub.glob("audio/tr/*/*")):
            pack(shard, shard.with_name(f"{shard.name}.tar"))
            shutil.rmtree(shard)
    for config in ("default", "tr", "invalidated"):
        for split, part in load(top, config).items():
            assert without_place(load(hub, config)[split]) == without_place(part)


# What must change the result


def test_clip_that_is_not_there_or_empty_is_quarantined(top, caplog):
    (top / "tr/clips/common_voice_tr_17341258.mp3").unlink()
    (top / "tr/clips/common_voice_tr_17341260.mp3").write_bytes(b"")
    table = load(top, "validated", max_bad=0.5)["validated"]
    assert sorted(table["id"]) == [CLIP.format(number) for number in (17341259, 17341261, 17341262)]
    assert "17341258.mp3 is listed in the metadata, but there is no such file" in caplog.text
    assert "17341260.mp3: empty file" in caplog.text


def test_columns_are_read_by_name(top):
    path = top / "tr/dev.tsv"
    header, row = (line.split("\t") for line in path.read_text().splitlines())
    expected = without_place(load(top)["validation"])
    path.write_text("\t".join(reversed(header)) + "\n" + "\t".join(reversed(row)) + "\n")
    assert without_place(load(top)["validation"]) == expected
    age, segment = header.index("age"), header.index("segment")
    header[age], header[segment] = "segment", "age"
    path.write_text("\t".join(header) + "\n" + "\t".join(row) + "\n")
    (swapped,) = load(top)["validation"]
    assert (swapped["age"], swapped["segment"]) == ("Singleword Benchmark", None)


def test_row_that_is_dropped(top):
    path = top / "tr/train.tsv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    assert load(top)["train"]["id"][:] == [CLIP.format(17341258)]


# Published counts


def test_published_counts():
    assert len(LOCALES) == 124
    assert published("17.0", "en") == {
        "train": Expected(1101170), "validation": Expected(16393), "test": Expected(16393),
        "validated": Expected(1799288, 2614.76), "invalidated": Expected(292773), "other": Expected(321347),
    }  # fmt: skip
    assert published("13.0", "tr") == {
        "train": Expected(31091), "validation": Expected(10837), "test": Expected(10839),
    }  # fmt: skip
    assert published("2", "en") == {}


def test_published_counts_are_those_of_the_release(shared_data):
    path = shared_data("corpora_metadata/common_voice_release_stats/cv-corpus-17.0-2024-03-15.json")
    for locale, stated in json.loads(path.read_text())["locales"].items():
        known = published("17.0", locale)
        assert {name.replace("validation", "dev"): split.utterances for name, split in known.items()} == stated[
            "buckets"
        ]
        assert known["validated"].hours == stated["validHrs"]


def test_release_is_known_by_its_folder_or_archive(top, tmp_path):
    def expected(path: Path, config: str) -> list[int | None]:
        splits = builder_class("common_voice")(config_name=config, data_dir=str(path)).config.splits
        return [known.utterances for known in splits.values()]

    archive = pack(top, tmp_path / "cv-corpus-17.0-2024-03-15-tr.tar.gz")
    for path in (top, top.parent, top / "tr", archive):
        assert expected(path, "default") == expected(path, "tr") == [35147, 11258, 11290]
        assert expected(path, "validated") == [114056]
    delta = common_voice.write(tmp_path / "delta", delta=True)
    assert expected(delta, "validated") == [None]


# Another reader


def test_rows_are_those_of_lhotse(top):
    reference = json.loads(REFERENCE.read_text())
    ours = {**load(top), **{name: load(top, name)[name] for name in ("validated", "invalidated", "other")}}
    ours["dev"] = ours.pop("validation")
    assert set(ours) == set(reference)
    for split, part in ours.items():
        found = {}
        for row in part:
            # It strips the text, keeps the release's word for the gender, and has an empty string for what is unknown.
            custom = {"age": row["age"] or "", "accents": row["accent"] or "", "variant": row["variant"] or ""}
            found[row["id"]] = [
                row["text"].strip(), row["speaker_id"], row["locale"], row["gender_raw"] or "", custom, row["offset"],
            ]  # fmt: skip
        assert found == {row[0]: row[1:7] for row in reference[split]}
        # It takes durations from the header of the MP3, which can announce more than there is; ours are of samples.
        for row in reference[split]:
            assert rows(part)[row[0]]["duration"] == pytest.approx(row[7], abs=2304 / 32_000)


# Real clips


@pytest.mark.parametrize("config", ["validated"])
def test_real_clips(shared_data, config):
    folder = shared_data("common_voice_ta_layout")
    table = load(folder, config)["validated"]
    lines = [line.split("\t") for line in (folder / "validated.tsv").read_text(encoding="utf-8").splitlines()[1:]]
    assert len(table) == len(lines) == 13
    assert {row["id"]: (row["text"], row["speaker_id"], row["language"]) for row in table} == {
        line[1].removesuffix(".mp3"): (line[2], line[0], "ta") for line in lines
    }
    assert set(table["gender"]) <= {"male", "female", "other", None}
    assert sum(table["duration"]) == pytest.approx(91, abs=1)
    assert {source["sampling_rate"] for source in table["source"]} == {32_000}
    assert len(load(folder, config, locale="ta")["validated"]) == 13
    with pytest.raises(CorpusError, match="no utterances"):
        load(folder, config, locale="tr")
