"""Runs the Python of a page of the documentation, block by block, as somebody would who types it into a notebook.

Usage: deploy_page.py REPORT FOLDER. FOLDER has page.md and models/: reviews and gpt2 as folders, reviews.tar.gz,
forest.tar.gz. Blocks that begin with `# version 3` run where that version of the SDK is, all others where version 2 is.
What expressions give is printed. Knows nothing of Clary.
"""

import ast
import importlib.metadata
import json
import os
import re
import sys
from pathlib import Path

import boto3

report, folder = Path(sys.argv[1]), Path(sys.argv[2])
is_version_3 = importlib.metadata.version("sagemaker").startswith("3.")
s3, sm = boto3.client("s3"), boto3.client("sagemaker")
run_by_hand = {"printed": []}


def show(value):
    if value is not None:
        run_by_hand["printed"].append(repr(value))
        print(repr(value))


def run(block, names):
    code = compile(ast.Interactive(ast.parse(block).body), "page", "single")
    sys.displayhook = show
    exec(code, names)


def version_3():
    from sagemaker.core.helper.session_helper import Session, get_execution_role

    return Session().default_bucket(), {"role": get_execution_role()}


def version_2():
    import sagemaker
    from sagemaker.huggingface import HuggingFace

    session = sagemaker.Session()
    bucket = session.default_bucket()
    source = folder / "training"
    source.mkdir()
    (source / "train.py").write_text(
        "import os, shutil\n"
        "if __name__ == '__main__':\n"
        "    target = os.environ['SM_MODEL_DIR']\n"
        "    shutil.copytree(os.environ['SM_CHANNEL_BASE'], target, dirs_exist_ok=True)\n"
    )
    estimator = HuggingFace(
        entry_point="train.py",
        source_dir=str(source),
        role=sagemaker.get_execution_role(),
        instance_type="ml.g5.xlarge",
        instance_count=1,
        transformers_version="4.48.0",
        pytorch_version="2.3.0",
        py_version="py311",
    )
    estimator.fit({"base": session.upload_data(str(folder / "models" / "reviews"), key_prefix="base")})
    return bucket, {"estimator": estimator}


bucket, names = version_3() if is_version_3 else version_2()
s3.upload_file(str(folder / "models" / "reviews.tar.gz"), bucket, "reviews/model.tar.gz")
s3.upload_file(str(folder / "models" / "forest.tar.gz"), bucket, "forest/model.tar.gz")
page = (folder / "page.md").read_text()
page = page.replace("my-bucket", bucket).replace("/srv/models", str(folder / "models"))
page = page.replace('"WaitIntervalInSeconds": 300', '"WaitIntervalInSeconds": 2')
for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
    first = block.partition("\n")[0]
    if first.startswith("# source/"):
        (folder / first.removeprefix("# ")).parent.mkdir(exist_ok=True)
        (folder / first.removeprefix("# ")).write_text(block)
    elif first.startswith("# version 3") == is_version_3:
        print(">>>", first)
        run(block, names)

if is_version_3:
    run_by_hand["version 3"] = json.loads(names["answer"].body.read())
else:
    for kind in ("with_script", "from_folder"):
        predictor = names[kind].deploy(1, "ml.m5.xlarge")
        run_by_hand[kind] = predictor.predict({"inputs": "Very good!"})
        predictor.delete_endpoint()
run_by_hand["endpoints"] = [each["EndpointName"] for each in sm.list_endpoints()["Endpoints"]]
for name in run_by_hand["endpoints"]:
    if sm.describe_endpoint(EndpointName=name)["EndpointStatus"] != "Deleting":
        sm.delete_endpoint(EndpointName=name)
    sm.get_waiter("endpoint_deleted").wait(EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
report.write_text(json.dumps(run_by_hand))
sys.stdout.flush()
os._exit(0)  # threads of the SDK's telemetry
