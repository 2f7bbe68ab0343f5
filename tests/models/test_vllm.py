"""vLLM, in this process and behind a server, does what transformers does; run with: .ci/vllm."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest
import torch

from s3_retriever.encoding.scanner import Scanner
from s3_retriever.engine import Engine
from s3_retriever.errors import ModelError
from s3_retriever.models.endpoint import EndpointJudge
from s3_retriever.models.first_layers import FirstLayers
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.models.weights import find_weights
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import ScanSettings
from s3_retriever.testing.models import LanguageModelContract, LikelihoodJudgeContract, distance
from s3_retriever.types import Document
from tests.tiny import tiny_llm

vllm = pytest.importorskip("vllm")

from s3_retriever.models.vllm import VllmModel  # noqa: E402  (after the skip)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
_TEXT = "Cats purr when they are content. The lamp burned whale oil until 1911. " * 8
_DOCUMENTS = [
    Document("lamp", "The lamp burned whale oil until 1911. Then it was electric."),
    Document("bread", "Flour and water are left to ferment for a week. Bread is baked at dawn."),
    Document("cats", 20 * "Cats sleep most of the day. " + "They hunt at dusk."),
]
_QUESTIONS = ("When did the lamp burn oil?", "How is bread made?", "When do cats hunt?")


@pytest.fixture(scope="module")
def engine() -> object:
    TransformersModel.load(_MODEL)  # fetches and converts
    return vllm.LLM(
        str(find_weights(_MODEL)),
        dtype="float32",
        enforce_eager=True,
        max_model_len=4096,
        max_num_batched_tokens=512,  # less than a chunk: texts pass by in several steps
    )


@pytest.fixture(scope="module")
def ours(engine: object) -> VllmModel:
    return VllmModel(engine, _MODEL)


@pytest.fixture(scope="module")
def theirs() -> TransformersModel:
    return TransformersModel.load(_MODEL, device="cpu", dtype=torch.float32)


class TestVllm(LanguageModelContract):
    special_tokens = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
    tolerance = 1e-3
    nats = 2e-3

    @pytest.fixture(scope="class")
    def llm(self, ours: VllmModel) -> VllmModel:
        return ours


def test_what_is_read_is_what_transformers_reads(
    ours: VllmModel, theirs: TransformersModel
) -> None:
    """Long and short texts, split over steps and not; later layers are in place again after it."""
    chunks = [ours.tokenize(text).ids for text in (6 * _TEXT, _TEXT, "Who?")]
    assert len(chunks[0]) > 512
    prefix = ours.prefix_ids("Document:\n", bos=False)
    for layers in ([17], [0, 29]):
        keys, expected = (
            ours.read_keys(chunks, layers, prefix),
            theirs.read_keys(chunks, layers, prefix),
        )
        queries, asked = ours.read_queries(chunks, layers), theirs.read_queries(chunks, layers)
        for layer in layers:
            for n in range(len(chunks)):
                assert distance(keys[layer][n], expected[layer][n]) < 1e-3
                assert distance(queries[layer][n], asked[layer][n]) < 1e-3


def test_a_question_is_as_likely_and_again_out_of_the_cache(
    ours: VllmModel, theirs: TransformersModel
) -> None:
    passages = [ours.tokenize(text).ids for text in (_TEXT, "It rained.")]
    for question in ("What do cats do?", "What did the lamp burn?", "What do cats do?"):
        expected = theirs.question_log_likelihoods(passages, question)
        found = ours.question_log_likelihoods(passages, question)
        np.testing.assert_allclose(found, expected, atol=2e-3, rtol=0)


def test_the_same_answer(ours: VllmModel, theirs: TransformersModel) -> None:
    prompt = ours.chat_ids([{"role": "user", "content": "What is the capital of France?"}])
    assert prompt == theirs.chat_ids(
        [{"role": "user", "content": "What is the capital of France?"}]
    )
    assert "".join(ours.stream(prompt, max_new_tokens=24)) == "".join(
        theirs.stream(prompt, max_new_tokens=24)
    )


def test_scans_and_answers_of_many_threads(ours: VllmModel) -> None:
    """An answer is not touched by a scan's left-out layers; an abandoned one ends."""
    prompt = ours.chat_ids([{"role": "user", "content": "Count to twenty."}])
    expected = "".join(ours.stream(prompt, max_new_tokens=40))
    ids = ours.tokenize(_TEXT).ids
    (keys,) = ours.read_keys([ids], [3], ids[:0])[3]
    answers: list[str] = []
    wrong: list[float] = []

    def answer() -> None:
        answers.append("".join(ours.stream(prompt, max_new_tokens=40)))

    def scan() -> None:
        for _ in range(3):
            wrong.append(distance(ours.read_keys([ids], [3], ids[:0])[3][0], keys))

    begun = iter(ours.stream(prompt, max_new_tokens=40))
    next(begun)
    threads = [Thread(target=work) for work in (answer, scan, answer, scan)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del begun
    assert answers == [expected, expected]
    assert len(wrong) == 6
    assert max(wrong) < 1e-3


def test_the_index_of_one_is_the_index_of_the_other(
    ours: VllmModel, theirs: TransformersModel, tmp_path: Path
) -> None:
    profile = Profile.load("smollm2-135m-instruct")
    Engine(ours, profile, tmp_path).add(_DOCUMENTS)
    for mode in ("fast", "hybrid"):
        for question in _QUESTIONS:
            by_ours = Engine(ours, profile, tmp_path).retrieve(question, mode=mode)
            by_theirs = Engine(theirs, profile, tmp_path).retrieve(question, mode=mode)
            assert [span.id for span in by_ours] == [span.id for span in by_theirs]
            np.testing.assert_allclose(
                [span.score for span in by_ours], [span.score for span in by_theirs], atol=0.05
            )
    same, read = (
        [encoded.ids for encoded in Scanner(llm, profile, ScanSettings()).scan(_DOCUMENTS)]
        for llm in (theirs, ours)
    )
    pairs = zip(np.concatenate(same)[:, 0], np.concatenate(read)[:, 0], strict=True)
    assert np.mean([len({*a} & {*b}) / len({*a} | {*b}) for a, b in pairs]) > 0.99


@pytest.fixture
def compiled(engine: object) -> Iterator[object]:
    config = engine.llm_engine.vllm_config.model_config  # type: ignore[attr-defined]
    config.enforce_eager = False
    yield engine
    config.enforce_eager = True


def test_a_compiled_engine_is_refused(compiled: object) -> None:
    with pytest.raises(ModelError, match="enforce_eager=True"):
        VllmModel(compiled)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``vllm serve`` with the real model."""
    TransformersModel.load(_MODEL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # what `vllm serve` runs; that command asks for a distribution of the name vllm
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--port", port]
    command += ["--model", find_weights(_MODEL)]
    options = ["--dtype", "float32", "--enforce-eager", "--max-model-len", 4096]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as written:
        running = subprocess.Popen(
            [*map(str, [*command, *options, "--served-model-name", "smol"])],
            stdout=written,
            stderr=written,
        )
    try:
        while True:
            assert running.poll() is None, log.read_text()[-2000:]
            with suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{port}/health").is_success:
                    break
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        running.terminate()
        running.wait(60)


class TestServer(LikelihoodJudgeContract):
    special_tokens = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
    nats = 2e-3

    @pytest.fixture(scope="class")
    def llm(self, server: str, theirs: TransformersModel) -> EndpointJudge:
        return EndpointJudge(server, "smol", theirs)


def test_a_server_judges_for_the_first_layers(server: str, theirs: TransformersModel) -> None:
    profile = Profile.load("smollm2-135m-instruct")
    layers = FirstLayers.load(_MODEL, profile.layers[-1] + 1, device="cpu", dtype=torch.float32)
    judged = Engine(layers.judged_by(EndpointJudge(server, "smol", layers)), profile)
    whole = Engine(theirs, profile)
    for engine in (judged, whole):
        engine.add(_DOCUMENTS)
    for question in _QUESTIONS:
        found, expected = (e.retrieve(question, mode="hybrid") for e in (judged, whole))
        assert [span.id for span in found] == [span.id for span in expected]
    with pytest.raises(ModelError, match="only the first"):
        Engine(layers, profile).answer("Who?").result()


def test_a_server_with_other_tokens_or_without_the_model_is_refused(server: str) -> None:
    other = tiny_llm("llama")
    ids = [other.tokenize("Bread").ids]
    with pytest.raises(ModelError, match="numbers its tokens differently"):
        EndpointJudge(server, "smol", other).question_log_likelihoods(ids, "Who?")
    with pytest.raises(ModelError, match="404"):
        EndpointJudge(server, "absent", other).question_log_likelihoods(ids, "Who?")


@pytest.mark.parametrize("family", ["qwen2", "qwen3", "gemma3_text", "phi3", "mistral"])
def test_other_families(tmp_path: Path, family: str) -> None:
    """Biases, norms of each head, sliding windows, an embedding with a scale of its own."""
    sizes = {"hidden_size": 384, "intermediate_size": 256}
    own = {} if family in ("qwen2", "phi3") else {"head_dim": 64}
    tiny = tiny_llm(family, **sizes, **own)
    tiny.model.save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    engine = vllm.LLM(str(tmp_path), dtype="float32", enforce_eager=True, max_model_len=128)
    ours = VllmModel(engine)
    chunks = [ours.tokenize(text).ids for text in ("The lamp burned whale oil.", "Bread", "A week")]
    none = np.empty(0, dtype=np.int32)
    for layers in ([1], [0, 2]):
        keys, expected = (llm.read_keys(chunks, layers, none) for llm in (ours, tiny))
        queries, asked = (llm.read_queries(chunks, layers) for llm in (ours, tiny))
        for layer in layers:
            for n in range(len(chunks)):
                assert distance(keys[layer][n], expected[layer][n]) < 1e-3
                assert distance(queries[layer][n], asked[layer][n]) < 1e-3
