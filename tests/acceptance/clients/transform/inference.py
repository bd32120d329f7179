"""A model of one's own code: a string of JSON in, a string out."""

import json
import os


def model_fn(model_dir):
    return str.upper if os.environ["LOUD"] == "yes" else str.lower


def transform_fn(model, data, content_type, accept):
    return json.dumps(model(json.loads(data)))
