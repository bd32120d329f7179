"""Runs encoder models fast, in the user's environment (torch and transformers); nothing of Clary above or beside it.

encoder = Encoder.load("model.tar.gz")
logits = encoder.classify(texts)          # (texts, labels)
"""

from clary.inference.comparing import Agreement, agreement
from clary.inference.encoder import Encoder, Located
from clary.inference.faults import ModelFault, TaskFault
from clary.inference.precision import recommended
from clary.inference.tokens import Tokens

__all__ = [
    "Agreement",
    "Encoder",
    "Located",
    "ModelFault",
    "TaskFault",
    "Tokens",
    "agreement",
    "recommended",
]
