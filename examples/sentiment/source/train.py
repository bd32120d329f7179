"""Fine-tune a model to tell good reviews from bad ones: an ordinary SageMaker training script.

Folders come as SM_* variables, hyperparameters as arguments.
"""

import argparse
import csv
import os
from pathlib import Path

import torch
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


def examples(path, tokenizer):
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    ids = tokenizer([row["text"] for row in rows], truncation=True, max_length=64)["input_ids"]
    return [
        {"input_ids": each, "labels": NAMES.index(row["label"])} for each, row in zip(ids, rows, strict=True)
    ]


def balanced(examples):
    """A loss to which both labels matter alike, however rare one of them is."""
    counts = torch.bincount(torch.tensor([each["labels"] for each in examples]), minlength=len(NAMES))
    weights = len(examples) / (len(NAMES) * counts.clamp(min=1))

    def loss(outputs, labels, **_):
        return torch.nn.functional.cross_entropy(outputs.logits, labels, weights.to(outputs.logits.device))

    return loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--learning_rate", type=float, default=1e-4)
    parser.add_argument("--train_batch_size", type=int, default=16)
    parser.add_argument("--bf16", type=lambda text: text.lower() == "true", default=False)
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
    train = examples(Path(args.train_dir, "train.csv"), tokenizer)
    print(f"{len(train)} reviews to learn from", flush=True)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=args.model_dir,
            num_train_epochs=args.epochs,
            learning_rate=args.learning_rate,
            per_device_train_batch_size=args.train_batch_size,
            warmup_steps=10,
            bf16=args.bf16,
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            logging_steps=10,
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=args.seed,
        ),
        train_dataset=train,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_loss_func=balanced(train),
    )
    trainer.train()
    trainer.save_model(args.model_dir)
    tokenizer.save_pretrained(args.model_dir)


if __name__ == "__main__":
    main()
