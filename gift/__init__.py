"""The library: everything that runs inside a stage, from a configuration and URIs to a URI or a word.

Its folders are rooms, and imports go from upper rooms to lower ones only (docs/architecture.md draws the house).
Knows neither kfp nor `components` and `pipelines`.
"""
