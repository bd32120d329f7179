"""Fine-tune a sentence model for classification: an ordinary SageMaker training script.

The platform gives the folders by SM_* variables and the hyperparameters as arguments. What is left in SM_MODEL_DIR
becomes model.tar.gz. It runs by hand just as well:

    python train.py --data DIR --model DIR_OR_NAME --model-dir DIR
"""

import argparse
import csv
import os
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch.utils.data import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    logging,
    set_seed,
)

LABELS = ["negative", "positive"]


class Reviews(Dataset):
    """Rows of a CSV file with the columns `text` and `label`, tokenised."""

    def __init__(self, path, tokenizer):
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.labels = [LABELS.index(row["label"]) for row in rows]
        self.encoded = tokenizer([row["text"] for row in rows], truncation=True, max_length=128)["input_ids"]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {"input_ids": self.encoded[index], "labels": self.labels[index]}


def measure(prediction):
    guess = prediction.predictions.argmax(axis=-1)
    return {
        "accuracy": accuracy_score(prediction.label_ids, guess),
        "f1": f1_score(prediction.label_ids, guess, average="macro"),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--model", default=os.environ.get("SM_CHANNEL_MODEL"))
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    set_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSequenceClassification.from_pretrained(
        args.model,
        num_labels=len(LABELS),
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
    )
    train = Reviews(Path(args.data, "train.csv"), tokenizer)
    dev = Reviews(Path(args.data, "dev.csv"), tokenizer)
    print(f"{len(train)} reviews to learn from, {len(dev)} to check with", flush=True)

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=args.model_dir,
            num_train_epochs=args.epochs,
            learning_rate=args.learning_rate,
            per_device_train_batch_size=args.batch_size,
            per_device_eval_batch_size=64,
            warmup_steps=10,
            eval_strategy="epoch",
            save_strategy="no",
            logging_steps=5,
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            use_cpu=not torch.cuda.is_available(),
            seed=args.seed,
        ),
        train_dataset=train,
        eval_dataset=dev,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=measure,
    )
    trainer.train()
    scores = next(entry for entry in reversed(trainer.state.log_history) if "eval_f1" in entry)

    majority = Counter(train.labels).most_common(1)[0][0]
    baseline = np.mean(np.array(dev.labels) == majority)
    print(f"baseline_accuracy={baseline:.4f} (always saying {LABELS[majority]})")
    print(f"final_accuracy={scores['eval_accuracy']:.4f} final_f1={scores['eval_f1']:.4f}", flush=True)

    trainer.save_model(args.model_dir)
    tokenizer.save_pretrained(args.model_dir)


if __name__ == "__main__":
    main()
