"""Bad recordings: one line each, a count over all workers, and a run that fails where there are too many."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from builders.cache import writing
from builders.errors import CorpusError, TooManyBadFilesError
from builders.listing import Shard

logger = logging.getLogger(__name__)


class Reports:
    """What became of the rows of one split: each worker reports each shard, the parent adds up.

    file : Path
        ``<split>.jsonl``, kept after the run: one line per quarantined recording.
    """

    def __init__(self, file: Path) -> None:
        self.quarantine = file
        self.parts = file.with_suffix(".parts")
        self.split = file.stem
        shutil.rmtree(self.parts, ignore_errors=True)
        self.parts.mkdir(parents=True)
        self.quarantine.unlink(missing_ok=True)

    def add(self, shard: Shard, written: int, bad: list[tuple[str, str]]) -> None:
        """Record a finished shard: rows written, and (member, reason) of each quarantined one."""
        report = {"rows": shard.last - shard.first, "written": written, "bad": bad}
        with writing(self.parts / f"{shard.number:06d}.json") as path:
            path.write_text(json.dumps(report), encoding="utf-8")

    def close(self, *, listed: int, max_bad: float, absent: int = 0) -> None:
        """Add up the shards' reports and write the quarantine file.

        `absent` of the quarantined recordings were not to be expected: they count neither as bad nor as listed.

        Raises
        ------
        CorpusError
            If rows went missing: listed = written + quarantined does not hold.
        TooManyBadFilesError
            If more than `max_bad` of the listed rows were quarantined, or all of them.
        """
        reports = list(self._read())
        bad = [entry for report in reports for entry in report["bad"]]
        written = sum(report["written"] for report in reports)
        shutil.rmtree(self.parts)
        if listed != written + len(bad):
            raise CorpusError(
                f"{self.split}: {listed} rows listed, {written} written, {len(bad)} quarantined: rows lost"
            )
        if not bad:
            return
        with writing(self.quarantine) as path:
            lines = (json.dumps({"split": self.split, "member": member, "reason": why}) for member, why in bad)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        missing = f", {absent} of them missing" if absent else ""
        logger.warning(
            "%s: %d of %d recordings quarantined%s, listed in %s",
            self.split, len(bad), listed, missing, self.quarantine,
        )  # fmt: skip
        if said := _too_many(listed - absent, written, len(bad) - absent, max_bad):
            member, reason = bad[0]  # absent ones are listed last
            raise TooManyBadFilesError(
                f"{self.split}: {said}; the first is {member}: {reason}. All: {self.quarantine}. "
                "Mend the corpus or pass a larger max_bad"
            )

    def _read(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self.parts.glob("*.json")):
            yield json.loads(path.read_text(encoding="utf-8"))


def check_all(where: str, listed: int, written: int, bad: int, max_bad: float, *, absent: int = 0) -> None:
    """Raise what is wrong with a finished run: rows that are lost, or too many bad recordings.

    where : str
        The file that lists the bad ones.
    absent : int
        How many of the bad ones are recordings that nobody can have: they are no fault.
    """
    if listed != written + bad:
        raise CorpusError(f"{where}: {listed} rows listed, {written} written, {bad} quarantined: rows lost")
    if said := _too_many(listed - absent, written, bad - absent, max_bad):
        raise TooManyBadFilesError(
            f"{said}: see {where}. Mend the corpus and choose another --out, or pass a larger --max-bad"
        )


def _too_many(listed: int, written: int, bad: int, max_bad: float) -> str:
    """Say that too many of the recordings that are there are bad, or none is good; empty where all is well."""
    if bad <= max_bad * listed and written:  # `datasets` does not open a split without rows
        return ""
    what = f"more than max_bad={max_bad:g} allows" if written else "which leaves no table"
    return f"{bad} of {listed} recordings are bad, {what}"
