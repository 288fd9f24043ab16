"""What this machine offers to the rooms above: background processes, ports, a Docker engine.

Imports errors only.
"""
