"""Processing jobs of SageMaker SDK version 2, as its users write them. Nothing in it knows of Clary.

Usage: processing_v2.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import sys
import time
from pathlib import Path

import boto3
import sagemaker
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.huggingface import HuggingFaceProcessor
from sagemaker.processing import (
    FrameworkProcessor,
    ProcessingInput,
    ProcessingJob,
    ProcessingOutput,
    ScriptProcessor,
)
from sagemaker.pytorch import PyTorchProcessor
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.sklearn import SKLearn
from sagemaker.sklearn.processing import SKLearnProcessor

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "processing")
seen: dict = {}

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()

(folder / "test").mkdir(parents=True)
(folder / "test" / "reviews.csv").write_text("text,label\ngood,1\nbad,0\n")
test = S3Uploader.upload(str(folder / "test"), f"s3://{bucket}/test")
image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def seconds_after(job):
    """Seconds from the end of the job, as the server tells it, to now."""
    return time.time() - job.describe()["ProcessingEndTime"].timestamp()


def data(name="test"):
    return ProcessingInput(source=test, destination="/opt/ml/processing/test", input_name=name)


def results(processor):
    """Where each output lies, and the files in it."""
    job = processor.latest_job
    return {
        output.output_name: {
            key.rpartition("/")[2]: S3Downloader.read_file(key)
            for key in S3Downloader.list(output.destination)
        }
        for output in job.outputs
    }


def told(processor):
    job = processor.latest_job
    return {
        "name": job.job_name,
        "status": job.describe()["ProcessingJobStatus"],
        "late_s": seconds_after(job),
    }


# --- a script, a local input, arguments, an output without a destination ----------------------------------------------
script = ScriptProcessor(
    role=role,
    image_uri=image,
    command=["python3"],
    instance_type="ml.m5.xlarge",
    instance_count=1,
    env={"OWN_VARIABLE": "mine"},
    tags=[{"Key": "team", "Value": "nlp"}],
)
script.run(
    code=f"{source}/evaluate.py",
    inputs=[ProcessingInput(source=str(folder / "test"), destination="/opt/ml/processing/test")],
    outputs=[ProcessingOutput(source="/opt/ml/processing/evaluation", output_name="evaluation")],
    arguments=["--threshold", "0.5"],
    logs=True,
)
seen["script"] = {**told(script), "results": results(script)}
found = ProcessingJob.from_processing_name(session, script.latest_job.job_name)
described = found.describe()
seen["found"] = {
    "status": described["ProcessingJobStatus"],
    "message": described.get("ExitMessage"),
    "inputs": sorted(entry.input_name for entry in found.inputs),
    "outputs": [entry.output_name for entry in found.outputs],
    "environment": described["Environment"],
}
seen["tags"] = session.sagemaker_client.list_tags(ResourceArn=described["ProcessingJobArn"])["Tags"]

# --- scikit-learn -----------------------------------------------------------------------------------------------------
sklearn = SKLearnProcessor(
    framework_version="1.2-1", role=role, instance_type="ml.m5.xlarge", instance_count=1, base_job_name="sk"
)
sklearn.run(
    code=f"{source}/evaluate.py",
    inputs=[data()],
    outputs=[
        ProcessingOutput(
            source="/opt/ml/processing/evaluation",
            destination=f"s3://{bucket}/evaluated",
            output_name="evaluation",
        )
    ],
    logs=False,
)
seen["sklearn"] = {**told(sklearn), "results": results(sklearn)}

# --- Hugging Face, from a folder with requirements that are met -------------------------------------------------------
huggingface = HuggingFaceProcessor(
    role=role,
    instance_type="ml.p3.2xlarge",
    instance_count=1,
    transformers_version="4.26",
    pytorch_version="1.13",
    py_version="py39",
    base_job_name="hf",
)
huggingface.run(
    code="evaluate.py",
    source_dir=source,
    inputs=[data()],
    outputs=[ProcessingOutput(source="/opt/ml/processing/evaluation", output_name="evaluation")],
    arguments=["--threshold", "0.5"],
)
seen["huggingface"] = {**told(huggingface), "results": results(huggingface)}

# --- PyTorch, a single file -------------------------------------------------------------------------------------------
pytorch = PyTorchProcessor(
    framework_version="2.0",
    py_version="py310",
    role=role,
    instance_type="ml.m5.xlarge",
    instance_count=1,
    base_job_name="pt",
)
pytorch.run(code=f"{source}/evaluate.py", inputs=[data()], wait=False)
pytorch.latest_job.wait(logs=False)
seen["pytorch"] = told(pytorch)

# --- any framework ----------------------------------------------------------------------------------------------------
framework = FrameworkProcessor(
    estimator_cls=SKLearn,
    framework_version="1.2-1",
    role=role,
    instance_type="ml.m5.xlarge",
    instance_count=1,
    base_job_name="fw",
)
framework.run(code="evaluate.py", source_dir=source, inputs=[data()])
seen["framework"] = told(framework)

# --- two instances, both of whose logs are shown --------------------------------------------------------------------
pair = ScriptProcessor(
    role=role, image_uri=image, command=["python3"], instance_type="ml.m5.xlarge", instance_count=2
)
pair.run(
    code=f"{source}/evaluate.py",
    inputs=[
        ProcessingInput(
            source=test, destination="/opt/ml/processing/test", s3_data_distribution_type="FullyReplicated"
        )
    ],
)
seen["pair"] = told(pair)

# --- one that fails ---------------------------------------------------------------------------------------------------
try:
    script.run(
        code=f"{source}/fail.py",
        outputs=[ProcessingOutput(source="/opt/ml/processing/out", output_name="out")],
    )
except UnexpectedStatusException as error:
    seen["failure"] = {"text": str(error), "actual": error.actual_status, "results": results(script)}

# --- one that is stopped ----------------------------------------------------------------------------------------------
script.run(
    code=f"{source}/endless.py",
    outputs=[
        ProcessingOutput(source="/opt/ml/processing/out", output_name="out", s3_upload_mode="Continuous")
    ],
    wait=False,
)
job = script.latest_job
logs = boto3.client("logs")
while not logs.filter_log_events(
    logGroupName="/aws/sagemaker/ProcessingJobs",
    logStreamNamePrefix=f"{job.job_name}/",
    filterPattern="running",
)["events"]:
    time.sleep(0.2)
job.stop()
job.wait(logs=True)
seen["stopped"] = {**told(script), "results": results(script)}

report_file.write_text(json.dumps(seen))
