"""An inference script whose model cannot be loaded."""


def model_fn(model_dir):
    print("looking for the weights")
    raise FileNotFoundError(f"no weights-42.bin in {model_dir}")
