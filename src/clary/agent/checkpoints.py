"""Keeps a folder of checkpoints and its copy in S3 alike: brought at the start, then changes go up as they appear."""

from __future__ import annotations

from clary.agent.mirror import Mirror
from clary.agent.s3 import S3, Location
from clary.agent.stage import Item, bring


class Checkpoints(Mirror):
    """`restore` instead of `open`. Deleted files are deleted in S3 too."""

    called = "checkpoint"
    deletes = True

    def restore(self, s3: S3) -> None:
        """What an earlier run left. `s3` is the client to wait with."""
        self.open()
        items = [
            Item(Location(self._place.bucket, entry.key), path)
            for entry in s3.list(self._place)
            if (path := entry.key[len(self._place.key) :])
        ]
        bring(s3, items, self._folder, "CheckpointConfig")
        self._kept = self._scan()
