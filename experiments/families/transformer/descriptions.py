"""What each metric of every Transformer means: the text beside it on a run's page."""

_TRANSFORMER = {
    "nll_nats": "−log p of the next token, nats per token; held-out: {}",
    "tokens": "tokens in an update",
    "gradient_norm": "global norm of the gradient before clipping",
    "perplexity": "exp of the nats per token, comparable only under the same tokeniser",
}


def of_tokens(evaluated: str) -> dict[str, str]:
    """Of every Transformer; `evaluated` says of which tokens the held-out loss is."""
    return {**_TRANSFORMER, "nll_nats": _TRANSFORMER["nll_nats"].format(evaluated)}
