"""A model of scikit-learn that adds two numbers."""

import numpy as np
from sklearn.linear_model import LinearRegression


def model_fn(model_dir):
    rows = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    return LinearRegression().fit(rows, rows.sum(axis=1))
