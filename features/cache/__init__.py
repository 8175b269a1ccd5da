"""The features file, format 2: HDF5 that anyone reads with h5py in two lines.

    /train/labels                      int64   (images,)
    /train/ids                         text    (images,)
    /train/identity/out_relu           float16 (images, channels)
    /train/identity/spatial/out_relu   float16 (images, height, width, channels), where asked for
    /train/mirror/out_relu             float16 (images, channels)
    /test/...
    /checksums/train/labels            uint8   (blocks, 32), and so for every dataset above

Every dataset of features is contiguous and has its place from the start; a checksum is the sha256
of a block of `layout.BLOCK` rows with its dataset's name and its number, so that neither a changed
nor a swapped block, dataset or split passes. An unfinished file has the name `<file>.part` and
zeros for the checksums of what is still to come: all else in it is final, which is why a pass that
was killed goes on to the same bytes.

The root's attributes hold, as JSON: `spec` (all that decides a value), `fingerprint` (the sha256 of
the spec; its first eight digits end the file's name), `classes`, `layers` (by depth, the
backbone's last at the end), `spatial`, `views`, `splits`, `facts` (what the data and the backbone
are), `versions` (what wrote it) and `checksums` (of the other attributes). What the pass took, on
what machine and engine, stands beside it, in `<file>.json`.

A file made in parts is a virtual dataset over the files in `<file>.parts/`.
"""

from features.cache.layout import BLOCK
from features.cache.reader import FeatureFile
from features.cache.writer import write_features

__all__ = ["BLOCK", "FeatureFile", "write_features"]
