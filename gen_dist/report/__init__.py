"""What became of runs, on one page: read from their folders, told as HTML or Markdown."""
