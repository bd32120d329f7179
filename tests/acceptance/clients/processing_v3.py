"""Processing jobs of SageMaker SDK version 3, as its users write them. Nothing in it knows of Clary.

Usage: processing_v3.py REPORT FOLDER. What it saw goes to REPORT, as JSON.
"""

import json
import logging
import sys
import time
from pathlib import Path

import boto3
from sagemaker.core.helper.session_helper import Session, get_execution_role
from sagemaker.core.processing import FrameworkProcessor, Processor, ScriptProcessor
from sagemaker.core.resources import ProcessingJob
from sagemaker.core.shapes import ProcessingInput, ProcessingOutput, ProcessingS3Input, ProcessingS3Output
from sagemaker.core.utils.exceptions import FailedStatusError

logging.basicConfig(level=logging.INFO)
report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = str(Path(__file__).parent / "processing")
image = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
seen: dict = {}

session = Session()
role = get_execution_role()
bucket = session.default_bucket()
s3 = boto3.client("s3")
s3.put_object(Bucket=bucket, Key="test/reviews.csv", Body=b"text,label\ngood,1\nbad,0\n")


def data():
    place = ProcessingS3Input(
        s3_uri=f"s3://{bucket}/test",
        local_path="/opt/ml/processing/test",
        s3_data_type="S3Prefix",
        s3_input_mode="File",
    )
    return ProcessingInput(input_name="test", s3_input=place)


def output(name, prefix, mode="EndOfJob"):
    place = ProcessingS3Output(
        s3_uri=f"s3://{bucket}/{prefix}", local_path=f"/opt/ml/processing/{name}", s3_upload_mode=mode
    )
    return ProcessingOutput(output_name=name, s3_output=place)


def report(prefix):
    return json.loads(s3.get_object(Bucket=bucket, Key=f"{prefix}/evaluation.json")["Body"].read())


common = {"role": role, "image_uri": image, "instance_type": "ml.m5.xlarge", "instance_count": 1}

# --- a script ---------------------------------------------------------------------------------------------------------
script = ScriptProcessor(command=["python3"], env={"OWN_VARIABLE": "mine"}, **common)
script.run(
    code=f"{source}/evaluate.py",
    inputs=[data()],
    outputs=[output("evaluation", "v3-script")],
    arguments=["--threshold", "0.5"],
)
job = ProcessingJob.get(processing_job_name=script.latest_job.processing_job_name)
seen["script"] = {
    "name": job.processing_job_name,
    "status": job.processing_job_status,
    "message": job.exit_message,
    "report": report("v3-script"),
    "late_s": time.time() - job.processing_end_time.timestamp(),
}

# --- a folder with requirements that are met --------------------------------------------------------------------
framework = FrameworkProcessor(base_job_name="v3-framework", **common)
framework.run(
    code="evaluate.py",
    source_dir=source,
    requirements="requirements.txt",
    inputs=[data()],
    outputs=[output("evaluation", "v3-framework")],
    arguments=["--threshold", "0.25"],
)
seen["framework"] = {"report": report("v3-framework")}

# --- an entry point of one's own, two instances -------------------------------------------------------------------
processor = Processor(
    entrypoint=["/bin/sh", "-c", "hostname > /opt/ml/processing/evaluation/$(hostname)"],
    **{**common, "instance_count": 2},
)
processor.run(outputs=[output("evaluation", "v3-hosts")], logs=False)
listing = s3.list_objects_v2(Bucket=bucket, Prefix="v3-hosts/")
seen["hosts"] = sorted(entry["Key"] for entry in listing["Contents"])

# --- one that fails ---------------------------------------------------------------------------------------------------
# run(wait=True) of this version looks for its own exception in the wrong module, so the job is waited for
script.run(code=f"{source}/fail.py", outputs=[output("out", "v3-fail")], wait=False, logs=False)
try:
    script.latest_job.wait()
except FailedStatusError as error:
    seen["failure"] = str(error)
seen["half"] = s3.get_object(Bucket=bucket, Key="v3-fail/half.txt")["Body"].read().decode()

# --- one that is stopped ----------------------------------------------------------------------------------------------
script.run(
    code=f"{source}/endless.py",
    outputs=[output("out", "v3-endless", "Continuous")],
    wait=False,
    logs=False,
)
job = script.latest_job
job.refresh()
while not job.processing_start_time:
    time.sleep(0.2)
    job.refresh()
job.stop()
job.wait()
seen["stopped"] = {"status": job.processing_job_status}

report_file.write_text(json.dumps(seen))
