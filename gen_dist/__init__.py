"""gen-dist: train VAEs and DCGANs on your own images, data-parallel over Ray."""

__version__ = "0.1.0"
