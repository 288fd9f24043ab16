"""Container images: what each is made from (`describe`), and how it is built, listed and pushed (`build`).

The Dockerfiles are in images/. May import `machine`, `install`, `fingerprint` and `errors`.
"""
