"""The KFP component of each stage: a folder with a few lines that call the stage, and a README.

At its top a component imports kfp and the image it runs in, nothing else; the stage is imported where it runs. May
import `stages`, `run_page` and `execution`.
"""
