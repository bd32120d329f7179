"""A module of PyTorch that doubles what it is given."""

import torch


def model_fn(model_dir):
    layer = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(2 * torch.eye(2))
    return layer.eval()
