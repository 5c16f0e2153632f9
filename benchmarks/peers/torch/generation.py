"""`generate` of Hugging Face's `transformers`, on PyTorch, with a cache."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from aigc_jax.transformer import Architecture
from aigc_jax.transformer.interchange import save_folder
from benchmarks.harness import machine
from benchmarks.harness.torch_row import device
from benchmarks.harness.turns import Row, counted


def row(config: Architecture, params: Any, prompts: np.ndarray, written: int) -> Row:
    """Greedy continuations by the model as our export writes it.

    Args:
      config: of a model that is a GPT-2.
      params: of the model.
      prompts: int `[n, P]`.
      written: tokens to add to each.

    Returns:
      A row that computes the tokens, each one higher: see `counted`.
    """
    torch.set_num_threads(machine.threads())
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        save_folder(folder, config, params)
        model = transformers.GPT2LMHeadModel.from_pretrained(folder).eval().to(device())
    inputs = torch.from_numpy(prompts).long().to(device())
    how = {"do_sample": False, "use_cache": True, "eos_token_id": None, "pad_token_id": 0}
    options = {"max_new_tokens": written, "min_new_tokens": written, **how}

    def write() -> np.ndarray:
        with torch.inference_mode():
            tokens = model.generate(inputs, attention_mask=torch.ones_like(inputs), **options)
        return tokens.cpu().numpy() + 1.0

    return counted(write)
