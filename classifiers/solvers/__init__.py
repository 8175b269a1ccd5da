"""The algorithms behind the heads: arrays in, arrays out."""
