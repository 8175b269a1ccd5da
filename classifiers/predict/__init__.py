"""Predictions by an exported run, with nothing loaded that its form does not want.

engines.py  the form that is there, as one function from images to probabilities
model.py    an exported run, ready to predict
files.py    image files and folders, decoded ahead of what computes
told.py     predictions as a table, CSV or JSON lines
"""
