"""How linear heads are fitted: sums over blocks of rows, and a solver on top of them.

rows.py      rows in blocks: in memory, in a dask array, or on a device
moments.py   means, scales, Gram matrix and class sums, in one pass
losses.py    losses of linear scores on a block
lbfgs.py     a minimiser, preconditioned
penalised.py C times a loss plus half the squared weights, by the four above
"""
