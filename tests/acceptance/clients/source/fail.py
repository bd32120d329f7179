"""A training script with a mistake."""


def load(size):
    raise ValueError(f"the data set has {size} rows but needs 16")


print("about to fail", flush=True)
load(3)
