"""What this machine has to offer: background processes, their ports, and a Docker engine.

Knows nothing of pipelines and stages. May import `errors`.
"""
