"""A finished run as files to take away: a model from image to probabilities, and its card.

folder.py   what stands in such a folder, with checksums
run.py      a run as model.keras, or, where its head is no layers of Keras, as features and head
forms.py    the same model for OpenVINO, ONNX and TFLite, each held to Keras after it is written
study.py    all runs of a study, and the folder of the best
card.py     its model card
"""
