"""Evaluate the model on the test data. It knows where SageMaker puts things, and nothing else."""

import argparse
import json
import tarfile

import pandas as pd
from datasets import Dataset
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
    pipeline,
)


def compute_metrics(prediction):
    labels = prediction.label_ids
    predicted = prediction.predictions.argmax(-1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="binary", zero_division=0
    )
    return {"accuracy": accuracy_score(labels, predicted), "f1": f1, "precision": precision, "recall": recall}


parser = argparse.ArgumentParser()
parser.add_argument("--batch-size", type=int, default=8)
arguments = parser.parse_args()

with tarfile.open("/opt/ml/processing/model/model.tar.gz") as tar:
    tar.extractall("./hf_model", filter="data")
tokenizer = AutoTokenizer.from_pretrained("./hf_model")
model = AutoModelForSequenceClassification.from_pretrained("./hf_model")
print(f"a {model.config.model_type} of {model.num_parameters():,} parameters")

frame = pd.read_csv("/opt/ml/processing/test/test.csv")
dataset = Dataset.from_pandas(frame).map(
    lambda batch: tokenizer(batch["text"], padding="max_length", max_length=32, truncation=True), batched=True
)
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir="./output", per_device_eval_batch_size=arguments.batch_size, report_to="none"
    ),
    eval_dataset=dataset,
    compute_metrics=compute_metrics,
    processing_class=tokenizer,
)
result = trainer.evaluate()
print(result)

classify = pipeline("sentiment-analysis", model="./hf_model", tokenizer="./hf_model")
answers = classify(list(frame["text"]), truncation=True, batch_size=arguments.batch_size)
result["predicted"] = [answer["label"] for answer in answers]

with open("/opt/ml/processing/evaluation/evaluation.json", "w") as file:
    json.dump(result, file)
