"""A scan gives each token the code of its key, whatever else is read beside it."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from s3_retriever.encoding.codes import id_dtype
from s3_retriever.encoding.scanner import Scanner
from s3_retriever.errors import ProfileError
from s3_retriever.models.transformers import TransformersModel
from s3_retriever.profiles.autoencoder import TopKSae
from s3_retriever.profiles.profile import Profile
from s3_retriever.settings import ScanSettings
from s3_retriever.types import Document, EncodedDocument
from tests.tiny import TEXT, tiny_llm, write_profile

pytestmark = pytest.mark.usefixtures("one_thread")

SITES = ((2, (0, 1)), (0, (1, 0)))
SETTINGS = ScanSettings(chunk_tokens=24, batch_tokens=120)
DOCUMENTS = [
    Document("several chunks", TEXT),
    Document("one token", "a"),
    Document("empty", ""),
    Document("one chunk", "Flour and water."),
    Document("a chunk's end", "a" * 24),
    Document("emoji", "👩‍👩‍👧 日本語 שלום"),
]


@pytest.fixture(scope="module")
def tiny() -> TransformersModel:
    return tiny_llm()


@pytest.fixture(scope="module")
def profile(tiny: TransformersModel, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return Profile.load(write_profile(tmp_path_factory.mktemp("p"), tiny, sites=SITES, heads=()))


def scan(
    llm: TransformersModel,
    profile: Profile,
    documents: list[Document],
    settings: ScanSettings = SETTINGS,
) -> list[EncodedDocument]:
    return list(Scanner(llm, profile, settings).scan(documents))


@torch.inference_mode()
def codes_by_hand(llm: TransformersModel, profile: Profile, text: str) -> tuple[Any, Any]:
    """Latents and uint8 steps ``(n_tokens, 2, 4)``, each chunk read alone behind the prefix."""
    prefix = llm.tokenize("Document:\n").ids.tolist()
    ids = llm.tokenize(text).ids.tolist()
    latents, steps = [], []
    for start in range(0, len(ids), 24):
        chunk = torch.tensor([prefix + ids[start : start + 24]])
        hidden = llm.model(chunk, output_hidden_states=True).hidden_states
        by_site = []
        for sae, (layer, heads) in zip(profile.saes, SITES, strict=True):
            block = llm.model.model.layers[layer]
            keys = block.self_attn.k_proj(block.input_layernorm(hidden[layer]))[0, len(prefix) :]
            columns = [10 * head + dim for head in heads for dim in range(10)]
            by_site.append(sae.encode(keys[:, columns]))
        latents.append(torch.stack([c.ids for c in by_site], 1))
        steps.append(torch.stack([c.activations for c in by_site], 1))
    scaled = (torch.cat(steps) / 0.02).round().clamp(0, 255)
    return torch.cat(latents).numpy(), scaled.numpy()


def agreement(a: np.ndarray, b: np.ndarray) -> float:
    """Share of codes with the same set of latents."""
    return float((np.sort(a, -1) == np.sort(b, -1)).all(-1).mean()) if a.size else 1.0


def test_codes_are_those_of_the_keys(tiny: TransformersModel, profile: Profile) -> None:
    done = scan(tiny, profile, DOCUMENTS)
    assert [d.document for d in done] == DOCUMENTS
    for coded in done:
        n = tiny.count_tokens(coded.document.text)
        assert coded.ids.shape == coded.activations.shape == (n, 2, 4)
        assert (coded.ids.dtype, coded.activations.dtype) == (np.uint16, np.uint8)
        tokens = tiny.tokenize(coded.document.text)
        assert np.array_equal(coded.starts, tokens.starts)
        assert np.array_equal(coded.ends, tokens.ends)
        if n:
            latents, steps = codes_by_hand(tiny, profile, coded.document.text)
            assert agreement(coded.ids, latents) > 0.99
            assert (coded.activations == steps).mean() > 0.99
            assert coded.activations.max() > 20
    assert len(done[0].ids) > 3 * 24


@pytest.mark.parametrize("batch_tokens", [33, 64, 4096])
def test_batch_size_does_not_matter(
    tiny: TransformersModel, profile: Profile, batch_tokens: int
) -> None:
    settings = SETTINGS.model_copy(update={"batch_tokens": batch_tokens})
    expected = scan(tiny, profile, DOCUMENTS)
    for found, other in zip(scan(tiny, profile, DOCUMENTS, settings), expected, strict=True):
        assert agreement(found.ids, other.ids) > 0.99


def test_neighbours_do_not_matter(tiny: TransformersModel, profile: Profile) -> None:
    together = scan(tiny, profile, DOCUMENTS[::-1])[::-1]
    for coded, document in zip(together, DOCUMENTS, strict=True):
        (alone,) = scan(tiny, profile, [document])
        assert coded.document == document
        assert agreement(coded.ids, alone.ids) > 0.99


def test_a_chunk_knows_nothing_of_the_one_before(tiny: TransformersModel, profile: Profile) -> None:
    ids = tiny.tokenize(TEXT)
    cut = int(ids.starts[24])
    (whole,) = scan(tiny, profile, [Document("whole", TEXT)])
    (rest,) = scan(tiny, profile, [Document("rest", TEXT[cut:])])
    assert np.array_equal(tiny.tokenize(TEXT[cut:]).ids, ids.ids[24:])
    assert np.array_equal(rest.starts + cut, ids.starts[24:])
    assert agreement(rest.ids, whole.ids[24:]) > 0.99


def test_strong_activations_stop_at_255(tiny: TransformersModel, tmp_path: Path) -> None:
    profile = Profile.load(write_profile(tmp_path, tiny, heads=()))
    with torch.no_grad():
        profile.saes[0].encoder.bias[5] = 1000.0
    (coded,) = scan(tiny, profile, [Document("d", TEXT)])
    assert (coded.ids[:, 0, 0] == 5).all()
    assert (coded.activations[:, 0, 0] == 255).all()


def test_the_profiles_autoencoders_stay_where_they_are(
    tiny: TransformersModel, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere(TransformersModel):
        """Its keys come out on another device."""

        def read_keys(self, *args: Any) -> Any:
            found = super().read_keys(*args)
            return {layer: [k.to("meta") for k in by_chunk] for layer, by_chunk in found.items()}

    used: list[TopKSae] = []

    def no_codes(sae: TopKSae, keys: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        used.append(sae)
        assert {p.device for p in sae.parameters()} == {keys.device}
        return torch.zeros(len(keys), 4), torch.zeros(len(keys), 4, dtype=torch.uint8)

    monkeypatch.setattr("s3_retriever.encoding.codes.code_keys", no_codes)
    before = [(p, p.data_ptr(), p.device) for sae in profile.saes for p in sae.parameters()]
    llm = Elsewhere(tiny.model, tiny.tokenizer, tiny.name)
    done = scan(llm, profile, DOCUMENTS)
    assert len(done) == len(DOCUMENTS)
    assert used[0].W_dec.device.type == "meta"
    assert len({id(sae) for sae in used}) == len(SITES)  # one copy each, not one a batch
    after = [(p, p.data_ptr(), p.device) for sae in profile.saes for p in sae.parameters()]
    assert all(a[0] is b[0] and a[1:] == b[1:] for a, b in zip(after, before, strict=True))
    used.clear()
    scan(tiny, profile, DOCUMENTS)  # and no copy where they are
    assert {id(sae) for sae in used} == {id(sae) for sae in profile.saes}


def test_ids_take_the_smallest_type() -> None:
    assert id_dtype(1) == id_dtype(65536) == np.uint16
    assert id_dtype(65537) == np.uint32
    assert np.iinfo(id_dtype(65536)).max == 65535


def test_progress_adds_up(tiny: TransformersModel, profile: Profile) -> None:
    documents = [Document(str(n), TEXT[n:]) for n in range(7)]
    told: list[tuple[int, int]] = []
    scanner = Scanner(tiny, profile, SETTINGS)
    done = list(scanner.scan(documents, on_progress=lambda *counts: told.append(counts)))
    tokens, characters = map(sum, zip(*told, strict=True))
    assert tokens == sum(len(d) for d in done)
    assert characters == sum(len(d.text) for d in documents)
    assert len(told) > 3


def test_documents_are_read_lazily(tiny: TransformersModel, profile: Profile) -> None:
    taken = 0

    def documents() -> Iterator[Document]:
        nonlocal taken
        for n in range(100):
            taken += 1
            yield Document(str(n), TEXT)

    scanning = Scanner(tiny, profile, SETTINGS).scan(documents())
    ahead = []
    for n, coded in enumerate(scanning):
        assert coded.document.id == str(n)
        ahead.append(taken - n)
    assert len(ahead) == 100
    assert max(ahead) <= 1 + 8 * 4 * 120 / len(TEXT)  # eight batches of some four letters a token


def test_chunks_shrink_to_the_models_window(tmp_path: Path) -> None:
    llm = tiny_llm(max_position_embeddings=40)
    profile = Profile.load(write_profile(tmp_path, llm, heads=()))
    widths: list[int] = []
    handle = llm.model.model.embed_tokens.register_forward_pre_hook(
        lambda _, args: widths.append(args[0].shape[1])
    )
    (coded,) = scan(llm, profile, [Document("d", TEXT)], ScanSettings(chunk_tokens=4096))
    handle.remove()
    assert max(widths) == 40
    assert coded.activations.max(axis=(1, 2)).min() > 0  # every token was coded


# Memory


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors made inside that are still alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> tuple[TransformersModel, Profile]:
    """A model with a window of 1024 tokens."""
    llm = tiny_llm(max_position_embeddings=1024)
    return llm, Profile.load(write_profile(tmp_path_factory.mktemp("w"), llm))


def document_of(llm: TransformersModel, n_tokens: int) -> Document:
    text = TEXT * (1 + n_tokens // llm.count_tokens(TEXT))
    return Document("d", text[: int(llm.tokenize(text).ends[n_tokens - 1])])


def peak_of(wide: tuple[TransformersModel, Profile], n_tokens: int, chunk_tokens: int) -> int:
    """Most bytes of tensors alive at once while a document is scanned."""
    llm, profile = wide
    document = document_of(llm, n_tokens)
    scanner = Scanner(llm, profile, ScanSettings(chunk_tokens=chunk_tokens, batch_tokens=2048))
    with LiveBytes() as counted:
        (coded,) = scanner.scan([document])
    assert abs(len(coded) - n_tokens) < 3
    assert counted.live < 1000  # nothing is kept
    return counted.peak


def test_memory_does_not_grow_with_the_document(wide: tuple[TransformersModel, Profile]) -> None:
    short = peak_of(wide, 4096, chunk_tokens=512)
    long = peak_of(wide, 65536, chunk_tokens=512)
    assert short > 200 * 48 * 4  # the counter sees hidden states
    assert long <= 1.01 * short


def test_memory_grows_with_the_batch_only(wide: tuple[TransformersModel, Profile]) -> None:
    """The same counter does see a difference where there is one."""
    assert peak_of(wide, 1024, chunk_tokens=900) > 1.3 * peak_of(wide, 64, chunk_tokens=900)


@pytest.mark.gpu
def test_gpu_memory_does_not_grow_with_the_document(
    wide: tuple[TransformersModel, Profile], tmp_path: Path
) -> None:
    llm = TransformersModel(wide[0].model.to("cuda"), wide[0].tokenizer, "tiny-llama")
    profile = Profile.load(write_profile(tmp_path, llm))
    scanner = Scanner(llm, profile, ScanSettings(chunk_tokens=512, batch_tokens=2048))
    peaks = []
    try:
        for n_tokens in (4096, 4096, 65536):  # the first warms up
            torch.cuda.reset_peak_memory_stats()
            list(scanner.scan([document_of(llm, n_tokens)]))
            peaks.append(torch.cuda.max_memory_allocated())
    finally:
        llm.model.to("cpu")
    assert peaks[2] <= 1.01 * peaks[1]


def test_a_prefix_as_long_as_the_window_is_refused(
    tiny: TransformersModel, profile: Profile
) -> None:
    card = profile.card.model_copy(update={"chunk_prefix": "word " * tiny.window})
    with pytest.raises(ProfileError, match="chunk_prefix"):
        Scanner(tiny, Profile(card, profile.saes), SETTINGS)
