"""A notebook that evaluates a fine-tuned sentiment model on data it has not seen. Nothing in it knows of Clary.

Usage: published_sentiment.py REPORT FOLDER. FOLDER/../model.tar.gz is the model, FOLDER/../test.csv the data. What it
saw goes to REPORT, as JSON.
"""

import json
import sys
from pathlib import Path

import sagemaker
from sagemaker.huggingface import HuggingFaceProcessor
from sagemaker.processing import ProcessingInput, ProcessingJob, ProcessingOutput
from sagemaker.s3 import S3Downloader, S3Uploader

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
source = Path(__file__).parent / "published" / "sentiment"

session = sagemaker.Session()
role = sagemaker.get_execution_role()
prefix = f"s3://{session.default_bucket()}/sentiment"
model = S3Uploader.upload(str(folder.parent / "model.tar.gz"), f"{prefix}/model", sagemaker_session=session)
data = S3Uploader.upload(str(folder.parent / "test.csv"), f"{prefix}/test", sagemaker_session=session)

processor = HuggingFaceProcessor(
    role=role,
    instance_type="ml.g4dn.xlarge",
    instance_count=1,
    transformers_version="4.26",
    pytorch_version="1.13",
    py_version="py39",
    base_job_name="evaluate-sentiment",
    sagemaker_session=session,
)
processor.run(
    code="evaluate.py",
    source_dir=str(source),
    inputs=[
        ProcessingInput(source=model, destination="/opt/ml/processing/model"),
        ProcessingInput(source=data, destination="/opt/ml/processing/test"),
    ],
    outputs=[ProcessingOutput(output_name="evaluation", source="/opt/ml/processing/evaluation")],
    arguments=["--batch-size", "4"],
)

job = ProcessingJob.from_processing_name(session, processor.latest_job.job_name)
description = job.describe()
[output] = description["ProcessingOutputConfig"]["Outputs"]
where = output["S3Output"]["S3Uri"]
report = {
    "name": processor.latest_job.job_name,
    "status": description["ProcessingJobStatus"],
    "where": where,
    "files": sorted(uri.removeprefix(where) for uri in S3Downloader.list(where, sagemaker_session=session)),
    "evaluation": json.loads(S3Downloader.read_file(f"{where}/evaluation.json", sagemaker_session=session)),
}
report_file.write_text(json.dumps(report))
