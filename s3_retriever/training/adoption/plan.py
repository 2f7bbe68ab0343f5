"""How much of everything fits the time there is, from what the machine was seen to do."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from s3_retriever.models.base import LanguageModel
from s3_retriever.settings import SaeSettings
from s3_retriever.training.adoption.material import Material
from s3_retriever.training.autoencoders import time_step

__all__ = [
    "Plan",
    "Speed",
    "default_minutes",
    "keep_speed",
    "kept_speed",
    "layers_ranked",
    "measure_speed",
]

LATENTS = 4096
ACTIVE = {64: 16, 128: 32, 256: 32}
"""Active latents by the dimension of a key head; wider ones need more."""
BATCH = 2048
LEARNING_RATE = 1e-3
"""The rate and the batch with which short runs of the shipped autoencoders were chosen."""


@dataclass(frozen=True)
class Speed:
    """What the machine was seen to do; kept, so that a run that goes on has the same plan."""

    layer_seconds: float
    """Of one layer, a token."""
    fixed_seconds: float
    """Of everything else, a token."""
    question_seconds: float
    """Of ranking the heads of the first layers on one question."""
    step_seconds: float
    """Of one step of training an autoencoder of one key head."""

    def tokens_per_second(self, last_layer: int) -> float:
        """Of a scan that ends at a layer."""
        return 1 / (self.fixed_seconds + self.layer_seconds * (last_layer + 1))


@dataclass(frozen=True)
class Plan:
    """Sizes that fit the time."""

    n_layers: int
    """The first layers, whose heads are ranked."""
    n_learn: int
    """Questions on which heads are ranked."""
    n_fit: int
    """Those of them on which legs are weighed, which takes a reading by the whole model."""
    n_report: int
    corpus_tokens: int
    steps: int
    seconds: float
    """What it will take, about."""

    @classmethod
    def of(
        cls, speed: Speed, minutes: float, material: Material, n_layers: int, n_ranked: int
    ) -> Plan:
        """Share the time out: a third to ranking heads, as much to legs and the report.

        Heads are looked for in the first two thirds of the layers: later ones retrieve no better
        and cost every token read from then on (CoRe, arXiv 2510.02219, drops the last half).

        Args:
            speed: what the machine does.
            minutes: there are.
            material: what there is.
            n_layers: of the model; the scan is reckoned to need a third of them.
            n_ranked: the first of them, in which heads are looked for.
        """
        seconds = 60 * minutes
        whole = speed.question_seconds * n_layers / n_ranked
        n_learn = min(len(material.learn), _between(12, 0.3 * seconds / speed.question_seconds))
        n_fit = min(n_learn, _between(12, 0.17 * seconds / whole))
        n_report = min(len(material.report), _between(12, 0.17 * seconds / whole))
        total = n_learn * speed.question_seconds + (n_fit + n_report) * whole
        plan = cls(n_ranked, n_learn, n_fit, n_report, 0, 0, total)
        return plan.training(speed, minutes, material, n_layers // 3, 1)

    def training(
        self, speed: Speed, minutes: float, material: Material, last_layer: int, n_sites: int
    ) -> Plan:
        """Share out what is left: a third of the time to autoencoders and the keys they learn from.

        Args:
            speed: what the machine does.
            minutes: there are.
            material: what there is.
            last_layer: that the scan reads.
            n_sites: key heads, an autoencoder each.
        """
        seconds = 60 * minutes
        each = 1 / speed.tokens_per_second(last_layer)
        corpus = _between(4 * BATCH, min(0.15 * seconds / each, len(material.text) / 4), 150_000)
        steps = _between(200, 0.2 * seconds / n_sites / speed.step_seconds, 3000)
        took = self.seconds + corpus * each + n_sites * steps * speed.step_seconds
        return replace(self, corpus_tokens=corpus, steps=steps, seconds=took)

    def autoencoders(self, head_dim: int, seed: int) -> SaeSettings:
        """Settings of training: 4,096 latents for one key head."""
        return SaeSettings(
            latents=LATENTS,
            k=ACTIVE.get(head_dim, 32),
            steps=self.steps,
            batch_tokens=BATCH,
            learning_rate=LEARNING_RATE,
            seed=seed,
        )


def layers_ranked(n_layers: int) -> int:
    """How many layers heads are looked for in.

    Example:
        >>> layers_ranked(30), layers_ranked(28)
        (20, 19)
    """
    return -(-2 * n_layers // 3)


def _between(least: int, n: float, most: int = 150) -> int:
    return max(least, min(int(n), most))


def default_minutes(llm: LanguageModel) -> float:
    """6 for a model of 135 million parameters in bfloat16, 20 for one of 1.5 billion.

    Example:
        >>> from s3_retriever.models.transformers import TransformersModel
        >>> default_minutes(TransformersModel.load("HuggingFaceTB/SmolLM2-135M-Instruct")) < 7
        True
    """
    parameters = int(llm.describe()["weight_bytes"]) / (
        4 if "32" in str(llm.describe()["dtype"]) else 2
    )
    return float(np.clip(6 * (parameters / 135e6) ** 0.5, 5, 20))


def measure_speed(llm: LanguageModel, text: str, ranked: float, head_dim: int) -> Speed:
    """Time a scan that ends in the middle and one that ends at the last layer, and training.

    Args:
        llm: the model.
        text: what is read.
        ranked: seconds that ranking a question took.
        head_dim: dimensions of a key head.
    """
    ids = llm.tokenize(text).ids[:1024]
    prefix = llm.prefix_ids("Document:\n", bos=llm.adds_bos)
    last = llm.layout.n_layers - 1
    taken = {}
    for layer in (last // 3, last):
        times = []
        for _ in range(2):
            start = time.perf_counter()
            llm.read_keys([ids], [layer], prefix)
            times.append(time.perf_counter() - start)
        taken[layer] = min(times) / len(ids)
    each = max((taken[last] - taken[last // 3]) / (last - last // 3), 1e-9) if last else taken[last]
    fixed = max(taken[last] - each * (last + 1), 1e-9)
    step = time_step(head_dim, LATENTS, ACTIVE.get(head_dim, 32), BATCH, _device(llm))
    return Speed(each, fixed, ranked, step)


def kept_speed(file: Path) -> Speed | None:
    """What an earlier run of the same command measured, if there was one."""
    return Speed(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def keep_speed(file: Path, speed: Speed) -> None:
    """Keep what was measured for a run that goes on: it has to have the same plan."""
    file.write_text(json.dumps(asdict(speed)) + "\n", encoding="utf-8")


def _device(llm: LanguageModel) -> torch.device:
    return torch.device(str(llm.describe()["device"]))
