"""A small sentiment data set made up on the spot: product reviews with negation, contrast and wrong labels."""

from __future__ import annotations

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Label = Literal["positive", "negative"]
TRAIN_ROWS = 1200
DEV_ROWS = 300
NOISE = 0.06


@dataclass(frozen=True, slots=True)
class Words:
    """What a split's reviews speak of and how. The two splits share the easy words only."""

    things: Sequence[str]
    parts: Sequence[str]
    good: Sequence[str]
    bad: Sequence[str]
    praise: Sequence[str]
    blame: Sequence[str]


_GOOD = ("great", "excellent", "comfortable", "reliable", "lovely", "solid", "a pleasure to use", "well made")
_BAD = ("awful", "terrible", "uncomfortable", "unreliable", "ugly", "flimsy", "a pain to use", "badly made")

TRAIN_WORDS = Words(
    things=(
        "jacket",
        "kettle",
        "headset",
        "backpack",
        "lamp",
        "keyboard",
        "tent",
        "blender",
        "watch",
        "chair",
    ),
    parts=("fabric", "handle", "sound", "zip", "switch", "battery", "finish", "lid", "strap", "price"),
    good=(*_GOOD, "sturdy", "quiet", "soft", "worth every cent", "better than I hoped", "a bargain"),
    bad=(*_BAD, "loud", "scratchy", "a waste of money", "worse than the old one", "overpriced", "useless"),
    praise=(
        "I would buy it again tomorrow",
        "my whole family wants one",
        "it has not let me down once",
        "I use it every single day",
        "it could hardly be better",
        "I was wrong to doubt it",
    ),
    blame=(
        "it went straight back to the shop",
        "I want my money back",
        "it broke within a week",
        "I regret buying it",
        "it could hardly be worse",
        "I was wrong to trust the reviews",
    ),
)

DEV_WORDS = Words(
    things=(
        "raincoat",
        "toaster",
        "speaker",
        "suitcase",
        "desk",
        "mouse",
        "hammock",
        "coffee grinder",
        "scarf",
    ),
    parts=("lining", "grip", "picture", "clasp", "button", "charger", "colour", "cover", "cable", "weight"),
    good=(*_GOOD, "robust", "light", "spot on", "nicer than in the photos", "good value"),
    bad=(*_BAD, "wobbly", "heavy", "a let-down", "not what the photos promised", "a rip-off"),
    praise=(
        "I have already ordered a second one",
        "I would not part with it",
        "no complaints whatsoever",
        "I cannot fault it",
        "everybody asks me where I got it",
    ),
    blame=(
        "it lies in a drawer now",
        "I would not wish it on anyone",
        "nothing but trouble from day one",
        "I cannot recommend it",
        "the refund took a month as well",
    ),
)


def write_reviews(folder: Path, *, seed: int = 7) -> None:
    """train.csv and dev.csv with the columns `text` and `label`. The same seed gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, words, rows in (("train.csv", TRAIN_WORDS, TRAIN_ROWS), ("dev.csv", DEV_WORDS, DEV_ROWS)):
        chance = random.Random(f"{seed} {name}")
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(("text", "label"))
            table.writerows(_reviews(words, rows, chance))


def _reviews(words: Words, rows: int, chance: random.Random) -> list[tuple[str, Label]]:
    """Distinct texts; a share of NOISE has the wrong label, as hand-made labels have."""
    found: dict[str, Label] = {}
    while len(found) < rows:
        label: Label = "positive" if chance.random() < 0.55 else "negative"
        found.setdefault(_review(words, label, chance), label)
    return [(text, _other(label) if chance.random() < NOISE else label) for text, label in found.items()]


def _review(words: Words, label: Label, chance: random.Random) -> str:
    kind = chance.choices((_plain, _negated, _contrast, _turned, _story), weights=(4, 3, 3, 2, 2))[0]
    text = kind(words, label, chance)
    text = (
        text[0].upper()
        + text[1:]
        + chance.choice((".", ".", ".", "!", "", " :)" if label == "positive" else " :("))
    )
    return text if chance.random() < 0.85 else text.lower()


def _plain(words: Words, label: Label, chance: random.Random) -> str:
    thing, word = chance.choice(words.things), chance.choice(_side(words, label))
    return chance.choice(
        (
            f"this {thing} is {word}",
            f"bought the {thing} last month and it is {word}",
            f"{word}, that is all there is to say about the {thing}",
            f"the {thing} is {word}, and the {chance.choice(words.parts)} is {chance.choice(_side(words, label))}",
        )
    )


def _negated(words: Words, label: Label, chance: random.Random) -> str:
    thing, word = chance.choice(words.things), chance.choice(_side(words, _other(label)))
    return chance.choice(
        (
            f"the {thing} is not {word} at all",
            f"nobody could call this {thing} {word}",
            f"I would never say that the {thing} is {word}",
            f"the {chance.choice(words.parts)} of the {thing} is anything but {word}",
        )
    )


def _contrast(words: Words, label: Label, chance: random.Random) -> str:
    """Both sides; the clause that carries the verdict decides."""
    thing, part = chance.choice(words.things), chance.choice(words.parts)
    with_it, against = chance.choice(_side(words, label)), chance.choice(_side(words, _other(label)))
    return chance.choice(
        (
            f"the {part} is {against}, but all in all the {thing} is {with_it}",
            f"although the {part} is {against}, {chance.choice(_verdict(words, label))}",
            f"all in all the {thing} is {with_it}, even if the {part} is {against}",
        )
    )


def _turned(words: Words, label: Label, chance: random.Random) -> str:
    """What was expected, and that it came otherwise."""
    thing, against = chance.choice(words.things), chance.choice(_side(words, _other(label)))
    return chance.choice(
        (
            f"I expected the {thing} to be {against}, and it turned out the opposite",
            f"people told me this {thing} was {against}; {chance.choice(_verdict(words, label))}",
            f"they say it is {against}. That is not the {thing} I got",
        )
    )


def _story(words: Words, label: Label, chance: random.Random) -> str:
    thing, verdict = chance.choice(words.things), chance.choice(_verdict(words, label))
    return chance.choice(
        (
            f"three weeks with this {thing}: {verdict}",
            f"got the {thing} as a present, {verdict}",
            f"{verdict}. The {chance.choice(words.parts)} is {chance.choice(_side(words, label))}",
        )
    )


def _side(words: Words, label: Label) -> Sequence[str]:
    return words.good if label == "positive" else words.bad


def _verdict(words: Words, label: Label) -> Sequence[str]:
    return words.praise if label == "positive" else words.blame


def _other(label: Label) -> Label:
    return "negative" if label == "positive" else "positive"
