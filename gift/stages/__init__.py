"""One module per container entry point: a plain function from a configuration and URIs to a URI or a word.

`stage` is what all of them share; `train_once` and `train_on_nodes` are the two training stages' common part. Stages
know every room of the library, and no room knows them.
"""
