"""Serving: an instance of an endpoint. The model before the program; its address as soon as it answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clary.agent import contract
from clary.agent.contract import Outcome, Plan
from clary.agent.model_server import ModelServer
from clary.agent.places import Places
from clary.agent.run import Ended
from clary.agent.s3 import S3
from clary.agent.story import Story
from clary.agent.toolkit import Program, Step


class Serving:
    """A `Work`."""

    running = "Loading"
    message = "The program that serves the model starts."
    uploading = ""
    out_of_time = "Stopping the instance because it ran longer than it may"

    def __init__(self, plan: Plan, places: Places, story: Story) -> None:
        self._plan = plan
        self._places = places
        self._story = story
        self._server = ModelServer(plan, places, self._tell_address)

    @property
    def variables(self) -> Mapping[str, str]:
        return self._server.variables

    def stage(self, s3: S3) -> Program:
        model = self._plan.model
        if model and model.data_url and model.mode == "SingleModel":
            self._story.tell("Downloading", "Downloading the model")
        return self._server.stage(s3)

    def start(self) -> None:
        self._server.start()

    def abandon(self) -> None:
        self._server.finish()

    def is_done(self) -> bool:
        """Also when its folder is gone: nobody could ever find it again, and it would serve for ever."""
        return self._server.is_done() or not self._places.folder.is_dir()

    def judge(self, step: Step, ended: Ended) -> Outcome:
        return self._server.judge(step, ended)

    def save(self, outcome: Outcome) -> Outcome:
        """An instance leaves nothing behind but its log."""
        self._server.finish()
        return outcome

    def _tell_address(self, address: str, report: Mapping[str, Any]) -> None:
        contract.write_document(
            self._places.folder / contract.SERVING, {"address": address, "report": report}
        )
        self._story.tell("InService", "The program answers.")
