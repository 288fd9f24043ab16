"""What `gift lint` says of a file that is no compiled pipeline."""

import pytest

from gift.errors import GiftError
from pipelines.kubeflow.lint import LintSettings, lint


@pytest.mark.parametrize(
    "text", ["", "a: [", "- 1", "root: 3", "apiVersion: v1\nkind: Pod\n", "root: {dag: {}}\n---\nno platform"]
)
def test_what_is_no_pipeline_is_refused(text: str) -> None:
    with pytest.raises(GiftError, match="this is no"):
        lint(text, LintSettings())
