"""Batch transform with SageMaker SDK version 2, as its users write it. Nothing in it knows of Clary.

Usage: transform_v2.py REPORT FOLDER. FOLDER/model.tar.gz is a classifier with two labels. What it saw
goes to REPORT, as JSON.
"""

import json
import sys
from pathlib import Path

import boto3
import sagemaker
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.huggingface import HuggingFaceModel
from sagemaker.s3 import S3Downloader, S3Uploader, s3_path_join
from sagemaker.sklearn import SKLearn
from sagemaker.transformer import Transformer

report_file, folder = Path(sys.argv[1]), Path(sys.argv[2])
seen: dict = {}

session = sagemaker.Session()
role = sagemaker.get_execution_role()
bucket = session.default_bucket()
archive = S3Uploader.upload(str(folder / "model.tar.gz"), f"s3://{bucket}/models")
texts = [f"film number {number} was {'good' if number % 3 else 'bad'}" for number in range(60)]
reviews = [{"id": number, "inputs": text} for number, text in enumerate(texts)]


def upload(name, lines):
    (folder / name).write_text("".join(line + "\n" for line in lines))
    return S3Uploader.upload(str(folder / name), f"s3://{bucket}/{name.partition('.')[0]}")


def output(transformer, name):
    return S3Downloader.read_file(s3_path_join(transformer.output_path, name)).splitlines()


model = HuggingFaceModel(
    model_data=archive,
    role=role,
    env={"HF_TASK": "text-classification"},
    transformers_version="4.26",
    pytorch_version="1.13",
    py_version="py39",
)

# --- the published notebook: JSON lines, one record in a request, logs shown ----------------------------------
reviews_uri = upload("reviews.jsonl", [json.dumps({"inputs": text}) for text in texts])
batch_job = model.transformer(
    instance_count=1,
    instance_type="ml.p3.2xlarge",
    strategy="SingleRecord",
    accept="application/json",
    assemble_with="Line",
    tags=[{"Key": "team", "Value": "nlp"}],
)
batch_job.transform(data=reviews_uri, content_type="application/json", split_type="Line")
lines = output(batch_job, "reviews.jsonl.out")
seen["notebook"] = {
    "lines": [json.loads(line) for line in lines],
    "name": batch_job.latest_transform_job.name,
}
described = boto3.client("sagemaker").describe_transform_job(
    TransformJobName=batch_job.latest_transform_job.name
)
seen["notebook"]["status"] = described["TransformJobStatus"]
seen["notebook"]["tags"] = boto3.client("sagemaker").list_tags(ResourceArn=described["TransformJobArn"])[
    "Tags"
]

# --- many records in a request, joined with what they are of --------------------------------------------------
joined_uri = upload("joined.jsonl", [json.dumps(review) for review in reviews])
joined = Transformer(
    model_name=batch_job.model_name,
    instance_count=1,
    instance_type="ml.m5.xlarge",
    strategy="MultiRecord",
    accept="application/jsonlines",
    assemble_with="Line",
    max_payload=1,
    max_concurrent_transforms=2,
    output_path=f"s3://{bucket}/joined-out",
    sagemaker_session=session,
)
joined.transform(
    data=joined_uri,
    content_type="application/jsonlines",
    split_type="Line",
    join_source="Input",
    output_filter="$['id','SageMakerOutput']",
    model_client_config={"InvocationsTimeoutInSeconds": 60, "InvocationsMaxRetries": 1},
    wait=False,
)
joined.wait(logs=False)
seen["joined"] = [json.loads(line) for line in output(joined, "joined.jsonl.out")]

# --- a job found again ----------------------------------------------------------------------------------------
found = Transformer.attach(joined.latest_transform_job.name, sagemaker_session=session)
found.wait(logs=False)
seen["attached"] = {
    "model": found.model_name,
    "strategy": found.strategy,
    "concurrent": found.max_concurrent_transforms,
    "output": found.output_path,
    "same": found.output_path == joined.output_path,
}

# --- a bad record ---------------------------------------------------------------------------------------------
mixed = [json.dumps({"inputs": "good"}), json.dumps({"nothing": 1}), json.dumps({"inputs": "bad"})]
upload("mixed.jsonl", mixed)
S3Uploader.upload_string_as_file_body(json.dumps({"inputs": "fine"}), f"s3://{bucket}/mixed/fine.jsonl")
try:
    batch_job.transform(data=f"s3://{bucket}/mixed/", content_type="application/json", split_type="Line")
except UnexpectedStatusException as failure:
    seen["bad"] = {
        "status": failure.actual_status,
        "text": str(failure),
        "outputs": [key.rpartition("/")[2] for key in S3Downloader.list(batch_job.output_path)],
    }

# --- stopped --------------------------------------------------------------------------------------------------
batch_job.transform(data=reviews_uri, content_type="application/json", split_type="Line", wait=False)
batch_job.stop_transform_job(wait=True)
seen["stopped"] = boto3.client("sagemaker").describe_transform_job(
    TransformJobName=batch_job.latest_transform_job.name
)["TransformJobStatus"]

# --- the published scikit-learn notebook: from the estimator, a whole CSV file a request -----------------------
measured = [[number % 7, number % 3] for number in range(30)]
train_uri = upload("train.csv", [f"{a},{b},{int(a > 3)}" for a, b in measured])
batch_uri = upload("flowers.csv", [f"{a},{b}" for a, b in measured])
estimator = SKLearn(
    entry_point="flowers.py",
    source_dir=str(Path(__file__).parent / "transform"),
    framework_version="1.2-1",
    instance_type="ml.m5.large",
    role=role,
    sagemaker_session=session,
)
estimator.fit({"train": train_uri})
flowers = estimator.transformer(instance_count=1, instance_type="ml.m5.xlarge")
flowers.transform(batch_uri, content_type="text/csv")
flowers.wait()
seen["sklearn"] = S3Downloader.read_file(s3_path_join(flowers.output_path, "flowers.csv.out"))
seen["expected"] = [int(a > 3) for a, _ in measured]

# --- an inference script of one's own, which the SDK packs into the archive -------------------------------------
own = HuggingFaceModel(
    model_data=archive,
    role=role,
    entry_point="inference.py",
    source_dir=str(Path(__file__).parent / "transform"),
    transformers_version="4.26",
    pytorch_version="1.13",
    py_version="py39",
)
shouting = own.transformer(
    1, "ml.p3.2xlarge", assemble_with="Line", strategy="SingleRecord", env={"LOUD": "yes"}
)
shouting.transform(
    reviews_uri, content_type="application/json", split_type="Line", input_filter="$.inputs", logs=False
)
seen["own"] = output(shouting, "reviews.jsonl.out")

batch_job.delete_model()
seen["models"] = len(boto3.client("sagemaker").list_models(NameContains=batch_job.model_name)["Models"])
report_file.write_text(json.dumps(seen))
