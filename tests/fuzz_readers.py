"""Coverage-guided fuzzing of one reader of users' files, by hand: atheris steers what hypothesis makes of its bytes.

    .venv/bin/python -m pip install --target /some/folder atheris==3.0.0
    PYTHONPATH=/some/folder .venv/bin/python tests/fuzz_readers.py READER -max_total_time=300 -len_control=0

Without a reader, it prints their names. What follows is libFuzzer's. It ends with a traceback at the first file that is
neither a value nor one line; CI tries a few files for each reader in `test_readers.py`, whose test this is.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "support"), str(HERE.parent)]

with atheris.instrument_imports(include=["gift", "pipelines"]):
    import test_readers


def main(reader: str, arguments: list[str]) -> None:
    with TemporaryDirectory() as folder:

        @settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
        @given(data=st.data())
        def read(data: st.DataObject) -> None:
            test = test_readers.test_a_file_ends_in_a_value_or_a_line
            test.hypothesis.inner_test(reader, Path(folder), data)  # type: ignore[attr-defined]

        atheris.Setup([sys.argv[0], *arguments], read.hypothesis.fuzz_one_input)  # type: ignore[attr-defined]
        atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in test_readers.READERS:
        sys.exit("fuzz one of: " + ", ".join(test_readers.READERS))
    main(sys.argv[1], sys.argv[2:])
