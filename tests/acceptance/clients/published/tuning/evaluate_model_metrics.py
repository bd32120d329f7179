import json
import tarfile
from pathlib import Path

import joblib
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.metrics import ConfusionMatrixDisplay, classification_report, confusion_matrix

with tarfile.open("/opt/ml/processing/input/model/model.tar.gz", "r:gz") as tar:
    tar.extractall("/opt/ml/processing/input/model", filter="data")
model = joblib.load("/opt/ml/processing/input/model/model.joblib")

files = Path("/opt/ml/processing/input/data").glob("*.csv")
frame = pd.concat([pd.read_csv(file) for file in files])
labels = frame["star_rating"]
predicted = model.predict(frame["review_body"])
report = classification_report(labels, predicted, output_dict=True, zero_division=0)
print(classification_report(labels, predicted, zero_division=0))

classes = [int(name) for name in model.classes_]
matrix = confusion_matrix(labels, predicted, labels=classes)
display = ConfusionMatrixDisplay(matrix, display_labels=classes)
display.plot(cmap=plt.cm.Greens)
plt.title("Confusion matrix")

metrics_path = Path("/opt/ml/processing/output/metrics")
metrics_path.mkdir(parents=True, exist_ok=True)
plt.savefig(metrics_path / "confusion_matrix.png")
with open(metrics_path / "evaluation.json", "w") as file:
    json.dump(
        {
            "metrics": {"accuracy": {"value": report["accuracy"]}},
            "classes": classes,
            "confusion_matrix": matrix.tolist(),
        },
        file,
    )
