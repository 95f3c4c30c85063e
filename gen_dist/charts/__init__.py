"""Charts as SVG, for pages that must open anywhere without anything else."""
