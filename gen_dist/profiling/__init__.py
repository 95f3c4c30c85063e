"""Why training is slow: from where the time of steps went to what to change."""
