"""Rules that the requests for jobs of every kind have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from clary.services.operations import Context


def missing_buckets(context: Context, uris: Mapping[str, str]) -> Iterator[str]:
    """A bucket that is not there is worth knowing now, not after three hours of work. `uris` by their fields."""
    for where, uri in uris.items():
        if not is_s3_uri(uri):
            yield f"{where}: {uri!r} is not of the form s3://bucket/prefix"
        elif context.objects.bucket(bucket_of(uri)) is None:
            yield f"{where}: there is no bucket {bucket_of(uri)!r}; create it, or mend the URI {uri!r}"


def is_s3_uri(uri: str) -> bool:
    return re.fullmatch(r"s3://[a-z0-9][a-z0-9.\-_]+(/.*)?", uri, re.DOTALL) is not None


def bucket_of(uri: str) -> str:
    return uri.removeprefix("s3://").split("/", 1)[0]


def unpassable_texts(texts: Mapping[str, str]) -> Iterator[str]:
    """What becomes a program's arguments and environment must be text that these can hold. `texts` by their fields."""
    for where, text in texts.items():
        if held := unpassable(text):
            yield f"{where!r} holds {held}, which no program can be given: leave it out"


def unpassable(text: str) -> str | None:
    """What in a text can be no part of a program's arguments, or None."""
    if "\0" in text:
        return "a NUL character"
    if any("\ud800" <= each <= "\udfff" for each in text):
        return "half a surrogate pair"
    return None


def no_room(context: Context, kind: str, count: int, *, member: str) -> Iterator[str]:
    """A job whose instances never fit together, as `member` asks for them, would hold up itself and all behind it."""
    most = context.capacity(kind)
    if count > most:
        yield (
            f"{member} asks for {count} instances of {kind}, and this machine holds {most} at once: ask for fewer or "
            "for a smaller type, or say in instances.toml that the type takes less"
        )
