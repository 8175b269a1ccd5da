"""How heads are fitted: arrays in, arrays out. The linear ones by sums over blocks of rows.

rows.py      rows in blocks: in memory, in a dask array, or on a device
moments.py   means, scales, Gram matrix and class sums, in one pass
losses.py    losses of linear scores on a block
lbfgs.py     a minimiser, preconditioned
penalised.py C times a loss plus half the squared weights, by the four above
kernel.py    squared-hinge machines over a kernel matrix
"""
