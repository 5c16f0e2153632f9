"""How much of a device's peak performance a language model uses.

Dimensions: B rows, T positions, L layers, D width, N parameters.
"""

from typing import Any

from aigc_jax.transformer import Architecture


def flops_per_token(config: Architecture, parameters: int) -> float:
    """Floating-point operations of a training step for each token: 6 N + 12 L D T.

    Two per parameter forward and four backward, and likewise for the products of queries with keys
    and of weights with values, as if no position were masked. Recomputation does not count.

    Args:
      config: of a decoder.
      parameters: N, without the position embeddings and with the token embeddings once, which the
        output layer shares.

    Source: Chowdhery et al. 2022, https://arxiv.org/abs/2204.02311, appendix B.
    """
    return 6 * parameters + 12 * config.layers * config.width * config.context


def add_throughput(
    metrics: dict[str, dict[str, Any]], tokens: int, flops: float, peak_tflops: float | None
) -> list[str]:
    """Adds tokens per second to each row, and its share of the device's peak where that is stated.

    Args:
      metrics: as `measure` gives them; changed.
      tokens: per step.
      flops: per token.
      peak_tflops: of the device, in 10¹² operations per second at the precision used.

    Returns:
      A line for each row.
    """
    lines = []
    for name, row in metrics.items():
        row["tokens_per_second"] = rate = 1e3 * tokens / row["median_ms"]
        lines.append(f"{name}: {rate:,.0f} tokens/s")
        if peak_tflops:
            row["model_flops_utilisation"] = share = rate * flops / (1e12 * peak_tflops)
            lines[-1] += f", {share:.1%} of {peak_tflops:g} TFLOP/s"
    return lines


def bytes_per_step(
    config: Architecture, parameter_bytes: int, rows: int, mean_length: float, bytes_each: int
) -> float:
    """Bytes read to write one token of each row: all parameters once, and the cache.

    Args:
      config: of a decoder.
      parameter_bytes: of all that a pass reads.
      rows: B.
      mean_length: of a row over all its steps, in tokens.
      bytes_each: of a number in the cache.
    """
    kept = 2 * config.layers * config.kv_heads * config.head_size * bytes_each  # of a token
    return parameter_bytes + rows * mean_length * kept
