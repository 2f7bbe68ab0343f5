"""The reading of passages by a server: any OpenAI-compatible one that gives back log-probabilities.

It is asked for a completion of a prompt's token ids with ``echo`` and ``logprobs``, which says how
likely each token of the prompt was. vLLM's server answers that; llama.cpp's and most hosted ones
leave ``echo`` out.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

import numpy as np

from s3_retriever.errors import InputError, ModelError
from s3_retriever.models.base import Tokenizing
from s3_retriever.models.query_likelihood import PREFIX, SUFFIX
from s3_retriever.quoting import brief, quoted, why
from s3_retriever.types import Tokens

__all__ = ["EndpointJudge"]

_KNOWN = "The letters of the alphabet: a b c d e f g"
"""Asked first: other numbers would be another text, and judged as if nothing were wrong."""


class EndpointJudge:
    """A :class:`~s3_retriever.models.base.LikelihoodJudge` that asks a server (extra ``client``).

    The server has to hold the model whose tokenizer ``tokens`` is; a known text is sent first to
    see that it does. Passages and questions are sent to it.

    Example:
        >>> from s3_retriever import Engine, FirstLayers, Profile
        >>> profile = Profile.load("smollm2-135m-instruct")
        >>> layers = FirstLayers.load(profile.card.model, profile.layers[-1] + 1)
        >>> judge = EndpointJudge("http://gpu:8000/v1", profile.card.model, layers)
        >>> engine = Engine(layers.judged_by(judge), profile)  # mode hybrid asks the server
    """

    def __init__(
        self,
        url: str,
        model: str,
        tokens: Tokenizing,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
    ) -> None:
        """Take where it is; nothing is sent.

        Args:
            url: up to ``/v1``.
            model: its name there.
            tokens: numbers tokens as the server's model does.
            api_key: sent as a bearer token.
            timeout: seconds to wait for each answer.

        Raises:
            InputError: no URL of ``http`` or ``https``.
        """
        if not url.startswith(("http://", "https://")):
            raise InputError(
                f"{quoted(url)} is no URL of a server: it begins with http:// or https://"
            )
        import httpx

        self._url = url.rstrip("/") + "/completions"
        self._model = model
        self._tokens = tokens
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(headers=headers, timeout=timeout)
        self._known = False
        self._lock = Lock()

    # Tokens: those of the model here

    @property
    def window(self) -> int:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._tokens.window

    @property
    def adds_bos(self) -> bool:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._tokens.adds_bos

    def tokenize(self, text: str) -> Tokens:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._tokens.tokenize(text)

    def prefix_ids(self, text: str, *, bos: bool) -> np.ndarray:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._tokens.prefix_ids(text, bos=bos)

    def count_tokens(self, text: str) -> int:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._tokens.count_tokens(text)

    def tokenizer_hash(self) -> str:
        """See :class:`~s3_retriever.models.base.Tokenizing`."""
        return self._tokens.tokenizer_hash()

    # Judging

    def question_log_likelihoods(self, passages: Sequence[np.ndarray], question: str) -> np.ndarray:
        """See :class:`~s3_retriever.models.base.LikelihoodJudge`.

        Raises:
            ModelError: the server is not there, refuses, gives no log-probabilities, or numbers
                tokens differently.
        """
        prefix = self.prefix_ids(PREFIX, bos=self.adds_bos)
        suffix, asked = self.tokenize(SUFFIX).ids, self.tokenize(" " + question).ids
        values = np.empty((len(passages), len(asked)), dtype=np.float32)
        if values.size:
            self._check()
            prompts = [np.concatenate([prefix, p, suffix, asked]).tolist() for p in passages]
            for row, said in zip(values, self._ask(prompts), strict=True):
                row[:] = said["token_logprobs"][-len(asked) :]
        return values

    def _check(self) -> None:
        with self._lock:
            if self._known:
                return
            (said,) = self._ask([self.tokenize(_KNOWN).ids.tolist()])
            if "".join(said["tokens"]) != _KNOWN:
                raise ModelError(
                    f"{brief(self._model)} at {brief(self._url)} numbers its tokens differently"
                )
            self._known = True

    def _ask(self, prompts: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
        """What the server says of each token of each prompt."""
        import httpx

        body = {"model": self._model, "prompt": prompts, "max_tokens": 1, "temperature": 0}
        try:
            answer = self._http.post(self._url, json={**body, "echo": True, "logprobs": 1})
            answer.raise_for_status()
            choices = sorted(answer.json()["choices"], key=lambda choice: choice["index"])
            found = [
                {key: choice["logprobs"][key][: len(ids)] for key in ("tokens", "token_logprobs")}
                for choice, ids in zip(choices, prompts, strict=True)
            ]
            whole = all(
                len(said["token_logprobs"]) == len(ids)
                for said, ids in zip(found, prompts, strict=True)
            )
        except httpx.HTTPError as e:  # its text holds a URL, never what was sent
            raise ModelError(f"the reading by {brief(self._url)} failed: {why(e)}") from e
        except (KeyError, TypeError, ValueError) as e:
            raise ModelError(
                f"{brief(self._url)} gives no log-probabilities of a prompt (echo with logprobs)"
            ) from e
        if not whole:
            raise ModelError(
                f"{brief(self._url)} gives log-probabilities of what it writes alone (no echo)"
            )
        return found
