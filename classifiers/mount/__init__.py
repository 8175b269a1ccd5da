"""A finished run as one Keras model, from images to probabilities.

runs.py      the run, or those that vote, and which features files are whose
images.py    images in a view, at a backbone's size
trunks.py    the backbones, cut after the layers that are seen
seen.py      what a head sees: layers side by side, views, root, projection
heads.py     the heads as layers
model.py     all of it as one model
resized.py   the part of it behind the resizes
save.py      the model's file, which Keras alone can read
"""

from classifiers.mount.model import mount, mount_features, mount_tuned
from classifiers.mount.runs import CannotMount
from classifiers.mount.save import save_mounted

__all__ = ["CannotMount", "mount", "mount_features", "mount_tuned", "save_mounted"]
