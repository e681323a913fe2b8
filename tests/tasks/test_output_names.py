"""Names of outputs never meet, whatever the files are called."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.sources import output_urls

stems = st.lists(st.sampled_from(["a", "a-2", "a-3", "b", "a-2-2"]), min_size=1, max_size=12)


@given(stems)
def test_every_file_has_an_output_of_its_own(names: list[str]) -> None:
    found = [f"/in/{number}/{name}.nwb" for number, name in enumerate(names)]
    urls = output_urls(found, "/out", False)
    assert len(set(urls)) == len(found)
    for name, url in zip(names, urls, strict=True):
        assert url.startswith(f"/out/{name}")
        if names.count(name) == 1:
            assert url == f"/out/{name}"


def test_the_first_of_equal_names_keeps_it() -> None:
    found = ["/in/a.nwb", "/in/x/a.nwb", "/in/a-2.nwb"]
    assert output_urls(found, "/out", False) == ("/out/a", "/out/a-3", "/out/a-2")


def test_a_relative_file_has_its_output_beside_it() -> None:
    assert output_urls(["a.nwb"], None, True) == ("a-pennsieve",)
    assert output_urls(["x/a.nwb"], None, True) == ("x/a-pennsieve",)
    assert output_urls(["a.nwb", "b.nwb"], None, False) == ("pennsieve/a", "pennsieve/b")
