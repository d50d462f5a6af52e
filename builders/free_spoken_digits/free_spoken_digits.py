"""Free Spoken Digit Dataset: the ten English digits, fifty times each, by six speakers.

Source: Jackson et al., https://github.com/Jakobovski/free-spoken-digit-dataset. The tags differ in how many
speakers they have: v1.0.9 has five, v1.0.10 six.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from datasets import Value

from builders.corpus import Archive, CorpusBuilder, CorpusConfig, Expected, Facts
from builders.errors import CorpusError
from builders.files import Files
from builders.listing import Utterance

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST = range(5)  # recordings 0 to 4 of each digit and speaker are the official test set
RECORDING = r"(?:.*/)?(?P<id>(?P<digit>\d)_(?P<speaker>\w+)_(?P<number>\d+))\.wav"

# What metadata.py says, for copies that hold the recordings alone.
SPEAKERS = {
    "jackson": {"gender": "male", "accent": "USA/neutral"},
    "nicolas": {"gender": "male", "accent": "BEL/French"},
    "theo": {"gender": "male", "accent": "USA/neutral"},
    "yweweler": {"gender": "male", "accent": "DEU/German"},
    "george": {"gender": "male", "accent": "GRC/Greek"},
    "lucas": {"gender": "male", "accent": "DEU/German"},
}


class FreeSpokenDigits(CorpusBuilder):
    """The Free Spoken Digit Dataset, of any tag."""

    FACTS = Facts(
        title="Free Spoken Digit Dataset (FSDD)",
        homepage="https://github.com/Jakobovski/free-spoken-digit-dataset",
        licence="CC BY-SA 4.0",
        access="FSDD is open: without data_dir v1.0.10 of https://github.com/Jakobovski/free-spoken-digit-dataset is "
        "fetched; for another tag pass data_dir=<its folder or archive>",
        citation="Jackson, Z., Souza, C., Flaks, J., Pan, Y., Nicolas, H., Thite, A. (2018). "
        "Jakobovski/free-spoken-digit-dataset: v1.0.8. Zenodo. https://doi.org/10.5281/zenodo.1342401",
        language="en",
        root=r"^(?:.*/)?(?=recordings/\d_|metadata\.py$)",
        archives=(
            Archive(
                "free-spoken-digit-dataset-1.0.10.tar.gz",
                url="https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz",
            ),
        ),
        archive_patterns=("*free*spoken*digit*", "*fsdd*"),
        labels=("gender", "accent"),
        own_labels={"digit": Value("int32"), "number": Value("int32")},
    )
    BUILDER_CONFIGS = [
        CorpusConfig(name="default", description="The official splits; counts are those of v1.0.10.",
                     splits={"train": Expected(2700), "test": Expected(300)}),
    ]  # fmt: skip
    DEFAULT_CONFIG_NAME = "default"

    def utterances(self, files: Files, split: str) -> Iterator[Utterance]:
        """Yield the recordings of a split; the file's name says all: ``recordings/7_jackson_32.wav``."""
        speakers = {**SPEAKERS, **read_speakers(files)}
        for path in files.match(RECORDING):
            digit, number = int(path["digit"]), int(path["number"])
            if (number in TEST) == (split == "test"):
                labels = {**speakers.get(path["speaker"], {}), "digit": digit, "number": number}
                yield Utterance(path["id"], path[0], DIGITS[digit], path["speaker"], labels=labels)


def read_speakers(files: Files) -> dict[str, dict[str, str | None]]:
    """Read metadata.py where it is there, as a literal: it is never run.

    metadata = {
        'jackson': {
            'gender': 'male',
    """
    if "metadata.py" not in files:
        return {}
    try:
        nodes = ast.walk(ast.parse(files.read_text("metadata.py")))
        literal = next(node for node in nodes if isinstance(node, ast.Dict))  # breadth first: the outer one
        found = ast.literal_eval(literal)
        return {name: {key: facts.get(key) for key in ("gender", "accent")} for name, facts in found.items()}
    except (SyntaxError, ValueError, StopIteration, AttributeError, TypeError) as error:
        raise CorpusError(f"metadata.py does not hold a table of speakers ({error}): fetch it again") from None
