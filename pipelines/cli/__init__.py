"""The command `gift`: one module per group of subcommands, and what they share in `session`.

Each command checks its input, calls one function and prints what a person needs next. kfp and the Docker SDK are
imported inside the commands that need them, after mistakes are answered. May import every room below.
"""
