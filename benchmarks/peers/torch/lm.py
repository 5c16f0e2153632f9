"""A GPT in PyTorch, eager and compiled, that starts from our weights.

Dimensions: B batch, T positions, D width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

from benchmarks.harness.torch_row import device, training_row
from benchmarks.harness.turns import Row

if TYPE_CHECKING:  # benchmarks.memory runs this without JAX
    from aigc_jax.transformer import Architecture
    from benchmarks.harness.ours import Task


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)), with PyTorch's fused attention."""

    def __init__(self, config: Architecture, approximate: str):
        super().__init__()
        width, bias, self.heads = config.width, config.bias, config.heads
        self.approximate = approximate
        self.attention_norm, self.feed_forward_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.out = nn.Linear(width, width, bias=bias)
        self.up = nn.Linear(width, config.hidden_size, bias=bias)
        self.down = nn.Linear(config.hidden_size, width, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`[B, T, D] -> [B, T, D]`."""
        qkv = self.qkv(self.attention_norm(x)).unflatten(-1, (3, self.heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(gelu(self.up(self.feed_forward_norm(x)), approximate=self.approximate))


class Gpt(nn.Module):
    """Tokens `[B, T]` to logits `[B, T, V]`, with one table for embedding and output."""

    def __init__(self, config: Architecture, approximate: str):
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(Block(config, approximate) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """`[B, T] -> [B, T, V]`."""
        x = self.embedding(tokens) + self.positions.weight[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.embedding.weight.T


def gpt(config: Architecture, params: Any, approximate: str) -> Gpt:
    """The network with our parameters."""
    model, ours = Gpt(config, approximate), params["params"]

    def fill(module: nn.Module, arrays: Any) -> None:
        weight = arrays.get("kernel", arrays.get("scale"))
        with torch.no_grad():
            module.weight.copy_(torch.tensor(np.array(weight).T))
            if "bias" in arrays:
                module.bias.copy_(torch.tensor(np.array(arrays["bias"])))

    with torch.no_grad():
        model.embedding.weight.copy_(torch.tensor(np.array(ours["embedding"]["embedding"])))
        model.positions.weight.copy_(torch.tensor(np.array(ours["positions"])))
    decoder = ours["decoder"]
    for number, block in enumerate(model.blocks):
        layers = decoder[f"block_{number}"]
        fill(block.attention_norm, layers["attention_norm"])
        fill(block.qkv, layers["attention"]["qkv"])
        fill(block.out, layers["attention"]["out"])
        fill(block.feed_forward_norm, layers["feed_forward_norm"])
        fill(block.up, layers["feed_forward"]["in"])
        fill(block.down, layers["feed_forward"]["out"])
    fill(model.norm, decoder["norm"])
    return model.to(device())


def row(
    task: Task, config: Any, compiled: bool, approximate: str = "none", half: bool = False
) -> Row:
    """A GPT that starts from our weights; see `training`."""
    return training(task, gpt(config, task.weights, approximate), config, compiled, half)


def training(
    task: Task,
    model: Gpt,
    config: Any,
    compiled: bool,
    half: bool = False,
    rate: Callable[[int], float] | None = None,
) -> Row:
    """One step of AdamW down the gradient of the mean loss per token, clipped to a global norm.

    Args:
      task: its examples are windows, int `[M, T + 1]`.
      model: the network; changed.
      config: a `transformer.Config` of learned positions and LayerNorm before each layer.
      compiled: put the loss, and so its gradient, under torch.compile.
      half: products in bfloat16, by autocast.
      rate: of learning, by the number of steps done; None: always the config's.
    """
    # As ours: linear layers' matrices decay, embeddings do not.
    linear = {m.weight for m in model.modules() if isinstance(m, nn.Linear)}
    rest = [p for p in model.parameters() if p not in linear]
    groups = [
        {"params": list(linear), "weight_decay": config.weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    adam = torch.optim.AdamW(groups, config.learning_rate, (0.9, config.b2), fused=True)

    place, steps = device(), count()

    def loss(windows: Tensor) -> Tensor:
        with torch.autocast(place, torch.bfloat16, enabled=half):
            logits = model(windows[:, :-1])
            return cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())

    if compiled:
        loss = torch.compile(loss)

    def update(windows: Tensor, _: Tensor) -> tuple[Tensor]:
        if rate is not None:
            now = rate(next(steps))
            for group in adam.param_groups:
                group["lr"] = now
        nll = loss(windows.long())
        adam.zero_grad()
        nll.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        adam.step()
        return (nll,)

    return training_row(task, update, (adam,))
