"""A run's scores, computed by workers: what is compared with what, the parts of the work, what came out."""
