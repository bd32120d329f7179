import argparse
import os

import joblib
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

parser = argparse.ArgumentParser()
parser.add_argument("--C", type=float, default=1.0)
parser.add_argument("--ngram", type=int, default=1)
parser.add_argument("--max_features", type=int, default=1000)
parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
parser.add_argument("--train", default=os.environ["SM_CHANNEL_TRAIN"])
arguments, _ = parser.parse_known_args()

frame = pd.read_csv(f"{arguments.train}/train.csv")
fitting, held = train_test_split(frame, test_size=0.25, random_state=0, stratify=frame["star_rating"])
model = make_pipeline(
    TfidfVectorizer(ngram_range=(1, arguments.ngram), max_features=arguments.max_features),
    LogisticRegression(C=arguments.C, max_iter=500),
)
model.fit(fitting["review_body"], fitting["star_rating"])
print(f"val_accuracy: {model.score(held['review_body'], held['star_rating']):.4f}")
joblib.dump(model, f"{arguments.model_dir}/model.joblib")
