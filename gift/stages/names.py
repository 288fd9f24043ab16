"""What the output of a stage starts with; the command line recognises stages by it."""

BANNER = "▶ "
