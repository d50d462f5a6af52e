"""The order in which phones are drawn: by class, and within a class by place and manner."""

from __future__ import annotations

from collections.abc import Collection

# TIMIT's classes (phoncode.doc); the names are those of the 39, 48 and 61 classes. Vowels go from high front
# over low to high back, consonants from the lips backwards, voiceless before voiced.
GROUPS = {
    "vowels": "iy ih ix eh ae ax ax-h ah aa ao uh ux uw er axr ey ay oy aw ow",
    "semivowels": "w l el r y hh hv",
    "nasals": "m em n en nx ng eng",
    "fricatives": "f v th dh s z sh zh",
    "affricates": "ch jh",
    "stops": "p b t d dx k g q",
    "silence": "cl vcl epi sil pcl bcl tcl dcl kcl gcl pau h# stop affricate fricative nasal semivowel vowel silence",
}
_PLACES = {name: place for place, name in enumerate(" ".join(GROUPS.values()).split())}
_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names.split()}


def ordered(names: Collection[str]) -> list[str]:
    """Return the names in the order of their classes; names that are no phones as they come."""
    if not set(names) <= set(_PLACES):
        return list(names)
    return sorted(names, key=_PLACES.__getitem__)


def groups(names: Collection[str]) -> list[tuple[str, int, int]]:
    """Return (class, first, last + 1) of each run of ordered phones; none where the names are no phones."""
    found: list[tuple[str, int, int]] = []
    for place, name in enumerate(names):
        group = _GROUP_OF.get(name)
        if group is None:
            return []
        if found and found[-1][0] == group:
            found[-1] = (group, found[-1][1], place + 1)
        else:
            found.append((group, place, place + 1))
    return found
