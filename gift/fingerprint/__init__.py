"""What decides an output besides configuration and inputs: code, packages, the user's own code, the image.

Everything is read as text or looked up, nothing is imported or run. Imports errors only.
"""
