"""Fine-tune a sentence model to tell positive from negative sentences: all of it, or only a head on top.

An ordinary SageMaker training script: folders come as SM_* variables, hyperparameters as arguments.
"""

import argparse
import csv
import os
import time
from pathlib import Path

import torch
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

NAMES = ["negative", "positive"]

# Sentences of like length share a batch, so that little is padded. Version 5 of transformers renamed the option.
GROUPED = (
    {"train_sampling_strategy": "group_by_length"}
    if "train_sampling_strategy" in TrainingArguments.__dataclass_fields__
    else {"group_by_length": True}
)


class Sentences(Dataset):
    def __init__(self, path, tokenizer, limit):
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        rows = rows[:limit] if limit else rows
        ids = tokenizer([row["text"] for row in rows], truncation=True, max_length=128)["input_ids"]
        self.rows = [
            {"input_ids": each, "labels": NAMES.index(row["label"])}
            for each, row in zip(ids, rows, strict=True)
        ]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tune", choices=("all", "head"), default="all", help="which weights learn")
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--learning_rate", type=float, default=1e-4)
    parser.add_argument("--train_batch_size", type=int, default=32)
    parser.add_argument("--bf16", type=lambda text: text.lower() == "true", default=False)
    parser.add_argument("--limit", type=int, default=0, help="use this many sentences; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train_dir", default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--pretrained_dir", default=os.environ.get("SM_CHANNEL_MODEL"))
    parser.add_argument("--model_dir", default=os.environ.get("SM_MODEL_DIR"))
    args = parser.parse_args()

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    set_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.pretrained_dir)
    model = AutoModelForSequenceClassification.from_pretrained(
        args.pretrained_dir,
        num_labels=len(NAMES),
        id2label=dict(enumerate(NAMES)),
        label2id={name: number for number, name in enumerate(NAMES)},
    )
    if args.tune == "head":
        for name, weight in model.base_model.named_parameters():
            weight.requires_grad = name.startswith("pooler")
    train = Sentences(Path(args.train_dir, "train.csv"), tokenizer, args.limit)
    print(
        f"{len(train)} sentences to learn from; {model.num_parameters(only_trainable=True):,} weights learn"
    )

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=args.model_dir,
            num_train_epochs=args.epochs,
            learning_rate=args.learning_rate,
            per_device_train_batch_size=args.train_batch_size,
            warmup_steps=20,
            bf16=args.bf16,
            use_cpu=not torch.cuda.is_available(),
            **GROUPED,
            save_strategy="no",
            logging_steps=20,
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=args.seed,
        ),
        train_dataset=train,
        data_collator=DataCollatorWithPadding(tokenizer),
    )
    start = time.monotonic()
    trainer.train()
    print(f"train_seconds={time.monotonic() - start:.1f}", flush=True)
    trainer.save_model(args.model_dir)
    tokenizer.save_pretrained(args.model_dir)


if __name__ == "__main__":
    main()
