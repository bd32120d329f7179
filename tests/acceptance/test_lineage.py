"""Lineage with the unmodified SageMaker SDK version 2."""

from __future__ import annotations

import pytest

from tests.acceptance.running import run_program
from tests.server_process import ServerProcess


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_where_a_model_came_from(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> None:
    seen = run_program("lineage.py", server.home, tmp_path_factory.mktemp("lineage") / "user").report

    [[name, type_, uri]] = seen["logged"]
    assert (name, type_) == ("confusion", "ConfusionMatrix")
    assert uri.startswith("s3://") and uri.endswith(".json")
    assert seen["same"] is True
    assert seen["tags"] == [{"Key": "team", "Value": "nlp"}]
    assert seen["more tags"] == [{"Key": "team", "Value": "nlp"}, {"Key": "kind", "Value": "text"}]
    assert seen["action"] == ["Deploy", "Completed", {"by": "me"}, "s3://elsewhere/deploy"]
    assert seen["artifact"] == {"language": "de"}
    assert seen["context"] == "d"
    assert seen["actions"] == ["Deploy"]
    assert seen["contexts"] == ["Reviews-Endpoint"]
    assert seen["data sets"] == ["raw-reviews"]
    assert seen["into component"] == [["DataSet", "ContributedTo"]]
    assert seen["data of endpoint"] == ["raw-reviews"]
    assert seen["data of endpoint again"] == ["raw-reviews"]
    assert seen["jobs of endpoint"] == []
    assert sorted(seen["from data"]) == sorted(
        [
            ["Artifact", "DataSet"],
            ["TrialComponent", "ExperimentTrialComponent"],
            ["Artifact", "Model"],
            ["Action", "ModelDeployment"],
            ["Context", "Endpoint"],
            ["Artifact", "ConfusionMatrix"],
        ]
    )
    assert seen["edges"] == 5
    assert seen["table"] == ["Input", "Output", "Output"]
    assert seen["gone"] == ["ResourceNotFound", "ResourceNotFound"]
    assert seen["left"] == 2
