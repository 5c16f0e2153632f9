"""What each metric of a language model means: the text beside it on a run's page."""

from collections.abc import Mapping
from typing import Any

from experiments.families.lm.options import LmOptions
from experiments.families.transformer.descriptions import of_tokens

DRAWS = 16  # of masks, for each window of the held-out text

_BESIDE = "models that count tokens, and pairs of tokens"
_OF_MASKED = {
    "nll_nats": "estimate of an upper bound on −log p of the windows trained on, nats per token, "
    "from one draw of masks for each window",
    "nll_bound_nats": "upper bound on −log p of every held-out token, nats per token, in windows "
    "of {} tokens; it is no −log p, which may be lower. Exact in expectation over masks, of which "
    f"{DRAWS} are drawn for each window, always the same; beside it the −log p of {_BESIDE}",
    "nll_bound_error_nats": "standard error of that estimate, over masks, nats per token",
    "bits_per_byte_bound": "the bound in bits per byte of UTF-8: comparable between tokenisers",
}


def of_lm(options: LmOptions, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Of a language model."""
    if options.masked:
        common = of_tokens("")
        del common["perplexity"]  # of a bound it would be no perplexity
        bound = _OF_MASKED["nll_bound_nats"].format(options.context)
        return {**common, **_OF_MASKED, "nll_bound_nats": bound}
    if options.documents:
        evaluated = "every token but the first of each document, which is read alone"
    else:
        evaluated = f"every token but the first, in windows of {options.context} tokens"
    return {
        **of_tokens(f"{evaluated}, beside {_BESIDE}"),
        "bits_per_byte": "the same, in bits per byte of UTF-8: comparable between tokenisers",
    }
