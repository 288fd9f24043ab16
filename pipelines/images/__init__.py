"""Container images: what each is made from (`describe`), and how it is built, listed and pushed (`build`).

Imports `machine`, `install` and the library.
"""
