"""How a translator is evaluated on held-out pairs: by its loss, and by its translations."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from aigc_jax import transformer
from aigc_jax.algorithm import State
from aigc_jax.artefacts import Text
from aigc_jax.data.pairs import Pair
from aigc_jax.log_stream import say
from aigc_jax.metrics.translation import bleu, chrf, exact_match
from experiments.families.transformer.options import thrift
from experiments.families.translate.options import to_config
from experiments.families.translate.translation import SentenceTranslator, batch_of, pack

SHOWN = 20  # pairs on the page
CAPTIONS = {"samples": "Held-out sources, their translations (→) and their references (=)"}


class Evaluator:
    """Held-out pairs and what a model makes of them.

    Pairs whose source is longer than the model reads are left out of all metrics.

    Args:
      translator: of the run.
      heldout: the pairs.

    Raises:
      InputError: not one of them fits the context.
    """

    def __init__(self, translator: SentenceTranslator, heldout: Sequence[Pair]):
        options, coder = translator.options, translator.coder
        self.translator, self.language = translator, options.target
        self._networks = transformer.networks_of(to_config(options, coder.vocabulary_size))
        self._packed = pack(coder, heldout, options)[:-1]
        read = [pair for pair in heldout if translator.reads(pair[0])]
        self.sources, self.references = zip(*read, strict=True)

    def loss(self, state: State) -> dict[str, float]:
        """Nats and perplexity per target token, given the source."""
        rows, positions = thrift(self.translator.options)
        parts = (slice(i, i + rows) for i in range(0, len(self._packed[0]), rows))
        batches = (batch_of([jnp.asarray(x[part]) for x in self._packed]) for part in parts)
        nll = transformer.mean_nll(
            state.eval_params, batches, networks=self._networks, positions=positions
        )
        return {"nll_nats": nll, "perplexity": float(np.exp(nll))}

    def translations(self, state: State) -> dict[str, float]:
        """Metrics of the translations of all sources; their signatures go to the terminal."""
        translated = self.translator.translate(state, self.sources)
        metrics, signatures = scores(translated, self.references, self.language)
        for name, signature in signatures.items():
            say(f"{name}: {signature}")
        return metrics

    def baselines(self) -> dict[str, dict[str, float]]:
        """The same metrics of untranslated sources."""
        return {"the source itself": scores(self.sources, self.references, self.language)[0]}

    def artefacts(self, state: State) -> dict[str, Text]:
        """The first sources with their translations and references."""
        sources, references = self.sources[:SHOWN], self.references[:SHOWN]
        translations = self.translator.translate(state, sources)
        return {"samples": Text(show(sources, translations, references))}


def scores(
    translations: Sequence[str], references: Sequence[str], language: str
) -> tuple[dict[str, float], dict[str, str]]:
    """Metrics of translations, and the signatures of those that depend on a program.

    Args:
      translations, references: the same number of each, at least one.
      language: of both.
    """
    wanted = [" ".join(reference.split()) for reference in references]
    measured = {"chrf": chrf(translations, wanted), "bleu": bleu(translations, wanted, language)}
    metrics = {"exact_match": exact_match(translations, wanted)}
    metrics |= {name: score.score for name, score in measured.items()}
    return metrics, {name: score.signature for name, score in measured.items()}


def show(sources: Sequence[str], translations: Sequence[str], references: Sequence[str]) -> str:
    """Translations beside what was to be translated and what was expected."""
    rows = zip(sources, translations, references, strict=True)
    return "\n\n".join(f"{s}\n→ {t}\n= {r}" for s, t, r in rows)
