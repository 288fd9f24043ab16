"""The KFP component of each stage: a folder with a few lines that call it, and a README.

Imports kfp at a component's top and nothing else; the stage is imported where it runs.
"""
