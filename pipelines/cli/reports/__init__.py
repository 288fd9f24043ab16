"""The commands `gift report …`: what a run's report says, and whether it is true."""
