"""What each metric of a language model means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

from experiments.families.lm.options import LmOptions

_TRANSFORMER = {
    "nll_nats": "−log p of the next token, nats per token; held-out: {}",
    "tokens": "tokens in an update",
    "gradient_norm": "global norm of the gradient before clipping",
    "perplexity": "exp of the nats per token, comparable only under the same tokeniser",
}


def of_lm(options: LmOptions, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Of a language model."""
    if options.documents:
        judged = "every token but the first of each document, which sees itself alone"
    else:
        judged = f"every token but the first, in windows of {options.context} tokens"
    counting = ", beside models that count tokens, and pairs of tokens"
    return {
        **of_tokens(judged + counting),
        "bits_per_byte": "the same, in bits per byte of UTF-8: comparable between tokenisers",
    }


def of_tokens(judged: str) -> dict[str, str]:
    """Of every Transformer; `judged` says of which tokens the held-out loss is."""
    return {**_TRANSFORMER, "nll_nats": _TRANSFORMER["nll_nats"].format(judged)}
