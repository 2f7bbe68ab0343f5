"""Names of namespaces are names of folders on any system."""

from __future__ import annotations

import pytest

from s3_retriever.errors import InputError
from s3_retriever.storage.namespaces import check_namespace


@pytest.mark.parametrize(
    "name",
    [
        "con",
        "prn",
        "aux",
        "nul",
        "com0",
        "com1",
        "com9",
        "lpt1",
        "lpt9",
        "CON",
        "con.txt",
        "nul ",
        "nul.",
        "a.",
        "a ",
        "com1\n",
        "conin$",
        "com¹",
    ],
)
def test_names_that_no_folder_of_windows_can_have(name: str) -> None:
    with pytest.raises(InputError, match="namespace"):
        check_namespace(name)


@pytest.mark.parametrize("name", ["console", "com", "com10", "null", "lpt", "aux-1", "a-con"])
def test_names_that_only_look_like_those(name: str) -> None:
    assert check_namespace(name) == name
