"""How large the matrices are by which a machine is measured. Imports no torch."""

MATRIX_SIZE = 1024
"""Rows and columns; three of them take 12 MB."""
MATRIX_TIMES = 8
MATRIX_OPERATIONS = 2 * MATRIX_SIZE**3 * MATRIX_TIMES
"""Multiplications and additions of a turn."""
