"""The command `gift`: a module per group of subcommands. Each checks its input, calls one function, and prints.

kfp and the Docker SDK are imported inside the commands that need them, after mistakes are answered. May import every
other room; none imports this one.
"""
