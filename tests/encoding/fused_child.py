"""Codes tiny batches by the kernel and by torch: run with TRITON_INTERPRET=1, as triton asks for.

Prints a line of JSON for each case: whether steps are equal, and the ids of what is on.
"""

from __future__ import annotations

import json
import sys

import torch

from s3_retriever.encoding.codes import code_keys
from s3_retriever.encoding.fused_topk import fused_code_keys
from s3_retriever.profiles.autoencoder import TopKSae

CASES = {
    "whole blocks": (32, 32, 64, 4),
    "rows, columns and latents that fill no block": (35, 20, 70, 6),
    "no row": (0, 8, 64, 4),
    "as many active as there are latents": (3, 8, 16, 16),
}


def made(d_in: int, n_latents: int, k: int) -> TopKSae:
    """Weights of small whole numbers, so that sums of any order are equal, and with many ties."""
    sae = TopKSae(d_in, n_latents, k)
    with torch.no_grad():
        for tensor in (sae.encoder.weight, sae.encoder.bias, sae.b_dec):
            tensor.copy_(torch.randint(-3, 4, tensor.shape).float())
    return sae


def main() -> None:
    """Compare."""
    torch.manual_seed(0)
    for name, (n, d_in, n_latents, k) in CASES.items():
        sae = made(d_in, n_latents, k)
        keys = torch.randint(-4, 5, (n, d_in)).half()
        ids, steps = fused_code_keys(sae, keys, scale=0.4)
        scores = sae.preactivations(keys.float())
        expected = code_keys(sae, keys, 0.4)[1]
        # the lower of two latents that are equally active comes first
        order = torch.argsort(scores, dim=1, descending=True, stable=True)[:, :k]
        on = scores.gather(1, order) > 0
        told = {
            "name": name,
            "shape": list(ids.shape),
            "steps": bool(torch.equal(steps, expected)),
            "ids": bool((ids.long() == order)[on].all()),
            "off": bool((steps[~on] == 0).all()),
            "known": bool(((ids >= 0) & (ids < n_latents)).all()),
            "n_on": int(on.sum()),
        }
        sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
