"""Exported runs in Python: `headstart.load("results/flowers/best").predict(images)`."""

from classifiers.predict.model import Model, load
from features.errors import UserError

__all__ = ["Model", "UserError", "load"]
