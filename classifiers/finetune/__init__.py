"""Training a backbone further, with a head on it: the optional last stage.

settings.py  what a study says of it, checked without Keras
freeze.py    which layers train, and where the frozen part of the graph ends
cost.py      multiply-adds below and above that boundary; whether a cache of it pays
scratch.py   a small convolutional network to be trained from nothing
augment.py   what is drawn anew of each image in each epoch
start.py     the head that it starts from, fitted on training images alone
tops.py      what stands on the backbone: a head that is fitted already, or a fresh one
network.py   all of it as one model, from images or from the boundary
build.py     the network of a fine-tuning
boundary.py  the cache of what is frozen: its file, whether it pays
rows.py      images, or what is cached of them, in batches
train.py     epochs: the best is kept, and a killed training goes on
predict.py   what a network says of rows
fit.py       from paths to a run's folder
evaluate.py  opens the test split
"""
