"""Fine-tune a sentence model on pairs of sentences: do the two say the same? (Microsoft Research Paraphrase Corpus)

An ordinary SageMaker training script: folders come as SM_* variables, hyperparameters as arguments.
"""

import argparse
import csv
import os
import time
from pathlib import Path

import torch
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
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

# Pairs of like length share a batch, so that little is padded. Version 5 of transformers renamed the option.
GROUPED = (
    {"train_sampling_strategy": "group_by_length"}
    if "train_sampling_strategy" in TrainingArguments.__dataclass_fields__
    else {"group_by_length": True}
)


def read_pairs(path, limit):
    """(first sentence, second sentence, 1 if they are paraphrases). Quotes in the file are plain characters."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        pairs = [(row["#1 String"], row["#2 String"], int(row["Quality"])) for row in rows]
    return pairs[:limit] if limit else pairs


class Pairs(Dataset):
    def __init__(self, pairs, tokenizer, max_length):
        firsts, seconds, self.labels = (list(column) for column in zip(*pairs, strict=True))
        encoded = tokenizer(firsts, seconds, truncation=True, max_length=max_length)
        self.rows = [
            {name: encoded[name][index] for name in ("input_ids", "token_type_ids")} | {"labels": label}
            for index, label in enumerate(self.labels)
        ]
        # Batches are evaluated in this order; those of one length need no padding.
        self.rows.sort(key=lambda row: len(row["input_ids"]))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


def compute_metrics(prediction):
    guess = prediction.predictions.argmax(axis=-1)
    precision, recall, f1, _ = precision_recall_fscore_support(prediction.label_ids, guess, average="binary")
    accuracy = accuracy_score(prediction.label_ids, guess)
    return {"accuracy": accuracy, "f1": f1, "precision": precision, "recall": recall}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--learning_rate", type=float, default=1e-4)
    parser.add_argument("--train_batch_size", type=int, default=32)
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--bf16", type=lambda text: text.lower() == "true", default=False)
    parser.add_argument("--limit", type=int, default=0, help="use this many pairs of each file; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train_dir", default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--test_dir", default=os.environ.get("SM_CHANNEL_TEST"))
    parser.add_argument("--pretrained_dir", default=os.environ.get("SM_CHANNEL_MODEL"))
    parser.add_argument("--model_dir", default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--output_data_dir", default=os.environ.get("SM_OUTPUT_DATA_DIR"))
    args = parser.parse_args()

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    set_seed(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.pretrained_dir)
    model = AutoModelForSequenceClassification.from_pretrained(
        args.pretrained_dir,
        num_labels=2,
        id2label={0: "different", 1: "paraphrase"},
        label2id={"different": 0, "paraphrase": 1},
    )
    train, test = (
        Pairs(read_pairs(path, args.limit), tokenizer, args.max_length)
        for path in (
            Path(args.train_dir, "msr_paraphrase_train.txt"),
            Path(args.test_dir, "msr_paraphrase_test.txt"),
        )
    )
    print(f"{len(train)} pairs to learn from, {len(test)} to test with", flush=True)

    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=args.model_dir,
            num_train_epochs=args.epochs,
            learning_rate=args.learning_rate,
            per_device_train_batch_size=args.train_batch_size,
            per_device_eval_batch_size=64,
            warmup_steps=30,
            bf16=args.bf16,
            use_cpu=not torch.cuda.is_available(),
            **GROUPED,
            eval_strategy="epoch",
            save_strategy="no",
            logging_steps=10,
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=args.seed,
        ),
        train_dataset=train,
        eval_dataset=test,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=compute_metrics,
    )
    start = time.monotonic()
    trainer.train()
    print(f"train_seconds={time.monotonic() - start:.1f}", flush=True)
    scores = next(entry for entry in reversed(trainer.state.log_history) if "eval_f1" in entry)

    paraphrases = sum(test.labels) / len(test.labels)
    print(
        f"always saying paraphrase: accuracy {paraphrases:.4f}, F1 {2 * paraphrases / (1 + paraphrases):.4f}"
    )
    if args.output_data_dir:
        lines = [f"{name} = {value}\n" for name, value in sorted(scores.items())]
        Path(args.output_data_dir, "eval_results.txt").write_text("".join(lines), encoding="utf-8")
    trainer.save_model(args.model_dir)
    tokenizer.save_pretrained(args.model_dir)


if __name__ == "__main__":
    main()
