"""Clary: the Amazon SageMaker model workflow on machines you own."""

__version__ = "0.1.0"
