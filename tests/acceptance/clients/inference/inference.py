"""An inference script of one's own: the model's answer, with a word from the environment."""

import os

from transformers import pipeline


def model_fn(model_dir):
    return pipeline("text-classification", model=model_dir, tokenizer=model_dir)


def predict_fn(data, model):
    return {"word": os.environ.get("WORD", ""), "answer": model(data["inputs"])}
