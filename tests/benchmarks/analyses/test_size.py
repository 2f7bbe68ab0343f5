"""The index's size: each part as it is on disk, and the formula beside it."""

from __future__ import annotations

import json
from pathlib import Path

from s3_retriever_bench.cli.app import app
from typer.testing import CliRunner


def test_the_command(resident: list[str], tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The lighthouse was finished in 1887. Its lamp burned oil. " * 100)
    figures, picture = tmp_path / "out.json", tmp_path / "out.png"
    out = ["--json", str(figures), "--plot", str(picture)]
    asked = ["size", str(text), "--tokens", "1000", "--k", "1,4"]
    result = CliRunner().invoke(app, [*asked, *out, *resident])
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    shapes = [(row["hookpoints"], row["k"]) for row in found["by_code"]]
    assert shapes == [(1, 1), (1, 4), (2, 1), (2, 4)]
    for row in found["by_code"]:
        n_codes = row["hookpoints"] * row["k"]
        assert row["formula"] == 4 * n_codes
        assert row["bytes_per_token"]["codes"] == 3 * n_codes  # uint16 id, uint8 activation
        assert row["bytes_per_token"]["offsets"] == 8  # two uint32
        assert row["total"] == sum(row["bytes_per_token"].values())
    sizes = [row["bytes_per_token"]["frequencies"] * row["tokens"] for row in found["by_tokens"]]
    assert set(map(round, sizes)) == {4 * 64 * 2}  # a count a latent, however many tokens
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_more_latents_than_there_are(resident: list[str], tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The lighthouse was finished in 1887.")
    asked = ["size", str(text), "--k", "5"]
    result = CliRunner().invoke(app, [*asked, *resident])
    assert result.exit_code == 2
    assert "at most the profile's 4" in " ".join(result.stderr.split())
