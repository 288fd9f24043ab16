"""What decides an output besides settings and inputs: code, packages, files, the image.

Everything is read as text or looked up; nothing is imported or run. Who asks says where to start. May import `errors`.
"""
