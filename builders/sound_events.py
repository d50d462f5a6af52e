"""One inventory of sound events: the names of the AudioSet ontology, and what other corpora's classes are in it.

FSD50K and AudioSet give the ontology's identifiers themselves. FSD50K adds the parents of a class, the others do not.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import MappingProxyType

from builders.errors import CorpusError
from builders.register import HOME

# Where the ontology has no class for a sound, its family stands for it: marked.
ESC50 = {
    "dog": "Dog", "rooster": "Crowing, cock-a-doodle-doo", "pig": "Pig", "cow": "Cattle, bovinae", "frog": "Frog",
    "cat": "Cat", "hen": "Cluck", "insects": "Insect", "sheep": "Sheep", "crow": "Crow", "rain": "Rain",
    "sea_waves": "Waves, surf", "crackling_fire": "Fire", "crickets": "Cricket", "chirping_birds": "Chirp, tweet",
    "water_drops": "Drip", "wind": "Wind", "pouring_water": "Pour", "toilet_flush": "Toilet flush",
    "thunderstorm": "Thunderstorm", "crying_baby": "Baby cry, infant cry", "sneezing": "Sneeze",
    "clapping": "Clapping", "breathing": "Breathing", "coughing": "Cough", "footsteps": "Walk, footsteps",
    "laughing": "Laughter", "brushing_teeth": "Toothbrush", "snoring": "Snoring", "drinking_sipping": "Digestive",  # !
    "door_wood_knock": "Knock",
    "mouse_click": "Clicking",  # the ontology's "Mouse" is the animal
    "keyboard_typing": "Computer keyboard", "door_wood_creaks": "Creak",
    "can_opening": "Domestic sounds, home sounds", "washing_machine": "Domestic sounds, home sounds",  # !
    "vacuum_cleaner": "Vacuum cleaner", "clock_alarm": "Alarm clock", "clock_tick": "Tick-tock",
    "glass_breaking": "Shatter", "helicopter": "Helicopter", "chainsaw": "Chainsaw", "siren": "Siren",
    "car_horn": "Vehicle horn, car horn, honking", "engine": "Engine", "train": "Train",
    "church_bells": "Church bell", "airplane": "Fixed-wing aircraft, airplane", "fireworks": "Fireworks",
    "hand_saw": "Sawing",
}  # fmt: skip
URBANSOUND8K = {
    "air_conditioner": "Air conditioning", "car_horn": "Vehicle horn, car horn, honking",
    "children_playing": "Children playing", "dog_bark": "Bark", "drilling": "Drill", "engine_idling": "Idling",
    "gun_shot": "Gunshot, gunfire", "jackhammer": "Jackhammer", "siren": "Siren",
    "street_music": "Music",  # !
}  # fmt: skip
CATEGORIES = {"esc50": ESC50, "urbansound8k": URBANSOUND8K}


@cache
def ontology() -> MappingProxyType[str, str]:
    """Return the name of each class by its identifier: ``ontology()["/m/09x0r"] == "Speech"``."""
    lines = (HOME / "audioset/ontology.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if not line.startswith("#"))
    return MappingProxyType(dict(pairs))


def names(identifiers: Iterable[str]) -> list[str]:
    """Return the names of some identifiers, in their order.

    Raises
    ------
    CorpusError
        If the ontology has no such class.
    """
    known, wanted = ontology(), list(dict.fromkeys(identifiers))
    if unknown := [mid for mid in wanted if mid not in known]:
        raise CorpusError(f"no class of the AudioSet ontology has the identifier {unknown[0]!r}: map it to one")
    return [known[mid] for mid in wanted]


def category_names(category: str, corpus: str) -> list[str]:
    """Return what a category of ``esc50`` or ``urbansound8k`` is in the ontology.

    Raises
    ------
    CorpusError
        If the corpus has no such category.
    """
    if category not in CATEGORIES[corpus]:
        raise CorpusError(f"{corpus}: unknown category {category!r}: expected one of {list(CATEGORIES[corpus])}")
    return [CATEGORIES[corpus][category]]
