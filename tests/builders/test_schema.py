from __future__ import annotations

import pyarrow as pa
import pytest
from datasets import Audio, List, Value

from builders.errors import CorpusError
from builders.schema import CORE, SEGMENTS, SHARED_LABELS, Segment, arrow_schema, manifest_features

# The manifest schema of the design, in its order.
DESIGN = {
    "id": Value("string"),
    "audio": Audio(sampling_rate=16000, decode=False),
    "audio_path": Value("string"),
    "offset": Value("float64"),
    "duration": Value("float64"),
    "text": Value("string"),
    "speaker_id": Value("string"),
    "language": Value("string"),
    "corpus": Value("string"),
    "source": {"format": Value("string"), "sampling_rate": Value("int32"), "channels": Value("int32")},
    "segments": List(
        {
            "tier": Value("string"), "start": Value("float64"), "end": Value("float64"), "label": Value("string"),
            "speaker": Value("string"), "score": Value("float64"),
        }
    ),
}  # fmt: skip


def test_core_columns():
    assert list(CORE) == list(DESIGN)
    assert dict(CORE) == DESIGN
    assert list(SEGMENTS.feature) == list(Segment._fields)


def test_labels_follow_the_core_in_the_order_given():
    features = manifest_features(["age", "gender"], {"dialect_region": Value("int32")})
    assert list(features) == [*CORE, "age", "gender", "dialect_region"]


def test_shared_labels_are_no_class_labels():
    assert all(isinstance(feature, (Value, List)) for feature in SHARED_LABELS.values())


def test_unknown_shared_label():
    with pytest.raises(CorpusError, match=r"unknown shared labels \['sex'\]: expected some of \['gender'"):
        manifest_features(["sex"])


@pytest.mark.parametrize("name", ["text", "gender"])
def test_own_label_with_a_name_that_is_taken(name):
    with pytest.raises(CorpusError, match=rf"own labels \['{name}'\]"):
        manifest_features([], {name: Value("string")})


def test_arrow_types_hold_no_metadata_and_no_torch():
    schema = arrow_schema(manifest_features())
    assert schema.metadata is None
    assert schema.field("audio").type == pa.struct({"bytes": pa.binary(), "path": pa.string()})
    assert schema.field("duration").type == pa.float64()
