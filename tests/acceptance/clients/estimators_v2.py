"""Estimators whose deploy packs the training script with the model, with version 2 of the SDK.

Usage: estimators_v2.py REPORT FOLDER. FOLDER/base is a classifier with two labels. Knows nothing of Clary.
"""

import json
import os
import sys
from pathlib import Path

import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.pytorch import PyTorch
from sagemaker.serializers import JSONSerializer
from sagemaker.sklearn import SKLearn

report, folder = Path(sys.argv[1]), Path(sys.argv[2])
usual = {
    "source_dir": str(Path(__file__).parent / "served"),
    "role": sagemaker.get_execution_role(),
    "instance_type": "ml.m5.xlarge",
    "instance_count": 1,
}
seen = {}

forest = SKLearn(entry_point="forest.py", framework_version="1.2-1", py_version="py3", **usual)
forest.fit()
predictor = forest.deploy(1, "ml.m5.xlarge")
seen["scikit-learn"] = predictor.predict([[1.0, 2.0]]).tolist()
predictor.delete_endpoint()

copied = PyTorch(entry_point="copied.py", framework_version="2.3", py_version="py311", **usual)
copied.fit({"base": sagemaker.Session().upload_data(str(folder / "base"), key_prefix="copied")})
predictor = copied.deploy(1, "ml.m5.xlarge", serializer=JSONSerializer(), deserializer=JSONDeserializer())
seen["pytorch"] = predictor.predict({"inputs": "This is a very good product!"})
predictor.delete_endpoint()

report.write_text(json.dumps(seen))
sys.stdout.flush()
os._exit(0)  # threads of the SDK's telemetry
