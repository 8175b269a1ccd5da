"""The backbone that ships with Headstart: a small residual network for 32x32 images."""
