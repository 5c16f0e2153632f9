"""The HTML page of a run, made from its folder alone: one file, with the pictures in it."""

import base64
import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aigc_jax import printed, storage
from aigc_jax.metrics import collapse
from aigc_jax.pictures import curves
from aigc_jax.run_folder import RunFolder

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2330; background: #fff;
  margin: 2rem auto; max-width: 64rem; padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: .2rem }
h2 { font-size: 1.3rem; margin-top: 2.8rem; border-bottom: 1px solid #d8dce4 }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem }
p.lead { color: #555e6e; margin-top: 0 }
p.warning { background: #fdf0e9; border-left: .35rem solid #d9622b; padding: .6rem 1rem }
table { border-collapse: collapse; font-size: .9rem }
td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums }
tr + tr td { border-top: 1px solid #eceef2 }
.row { display: flex; flex-wrap: wrap; gap: 1.4rem }
figure { margin: 0 }
figure img { width: 100%; max-width: 29rem; image-rendering: pixelated }
figure img[src^="data:image/gif"] { width: min(29rem, 90vw) }
figcaption { color: #555e6e; font-size: .85rem }
pre { background: #f5f6f8; padding: .8rem; overflow-x: auto; font-size: .8rem; max-height: 34rem }
svg { max-width: 100%; height: auto }
summary { cursor: pointer; margin-top: 1.2rem; font-weight: 600 }
code { background: #f5f6f8; padding: 0 .2rem }
"""
_ARTEFACT = re.compile(r"(?P<name>.+)_(?P<step>\d+)\.(png|txt)")
_NAMED = 30  # classes whose names are shown
_CAPTIONS = {
    "samples": "Samples",
    "classes": "Samples by class: one row for each",
    "interpolations": "Straight lines in latent space, from the left image to the right one",
    "nearest": "Samples and, to the right of each, the nearest training image",
    "reconstructions": "Held-out images and, to the right of each, their reconstructions",
    "hardest": "Held-out images, the least likely label first",
    "manifold": "The 2-D latent space, decoded at equal steps of the prior's distribution function",
    "traversals": "One image's latents moved from −3 to 3, each row the one that says next most",
    "latents": "What each latent says of held-out images",
    "codes": "The codes used most, each standing in all positions",
    "codebook": "How often codes are used",
}


def page(title: str, lead: str, sections: list[str]) -> str:
    """A whole HTML document; `sections` are HTML, the other two are text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>\n"
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f'<body><h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p>\n'
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def run_section(folder: RunFolder) -> str:
    """The HTML section of one run: samples, curves, held-out metrics, configuration, time.

    Raises:
      InputError: the storage fails.
    """
    config, records = folder.read_config() or {}, folder.read_metrics()
    parts = [
        f"<h2>{html.escape(config.get('title', folder.path.name))}</h2>",
        _lead(config, records),
    ]
    parts += [
        f'<p class="warning"><b>Warning.</b> {html.escape(sentence)}</p>'
        for sentence in warnings(folder.heldout(), config.get("options", {}))
    ]
    with storage.told(folder.samples):
        parts += [f'<div class="row">{"".join(_pictures(folder))}</div>', _texts(folder)]
    parts += [f"<h3>Held-out metrics</h3>{_metrics(config, records)}"]
    parts += [
        f'<h3>Curves</h3><div class="row">{"".join(_curves(config, records))}</div>',
        _configuration(config),
    ]
    return "\n".join(parts)


def warnings(evaluations: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> list[str]:
    """What the metrics of a run say that a person should know, in sentences; mostly none.

    Args:
      evaluations: lines of metrics.jsonl.
      options: of the run; its steps and their evaluations tell early from late.
    """
    planned = -(-options.get("steps", 1) // options.get("eval_every", 1))
    return collapse.warnings([{"step": m["step"], **metrics_of(m)} for m in evaluations], planned)


def write_page(folder: RunFolder) -> Path:
    """Writes index.html of one run and returns its path.

    Raises:
      InputError: the storage fails.
    """
    config = folder.read_config() or {}
    title = f"{config.get('title', 'Run')}: {folder.path.name}"
    folder.write(folder.page, page(title, "A run of aigc_jax.", [run_section(folder)]))
    return folder.page


def _lead(config: dict[str, Any], records: list[dict]) -> str:
    data, options = config.get("data", {}), config.get("options", {})
    done = max((m["step"] for m in records), default=0)
    seconds = max((m.get("wall_s") or 0 for m in records), default=0)
    parameters = ", ".join(
        f"{name} {count:,}" for name, count in config.get("parameters", {}).items()
    )
    text = (
        f"Preset {options.get('preset')} on {data.get('name')} "
        f"({data.get('train', 0):,} {data.get('unit', '')} to train on, "
        f"{data.get('heldout', 0):,} held out). "
        f"{done:,} of {options.get('steps', 0):,} steps of {options.get('batch_size')} examples "
        f"in {seconds:.0f} s on {config.get('hardware')}. Parameters: {parameters}."
    )
    if classes := data.get("classes"):
        named = ", ".join(
            f"{label} {printed.line(name)}" for label, name in enumerate(classes[:_NAMED])
        )
        more = f" and {len(classes) - _NAMED} more" if len(classes) > _NAMED else ""
        text += f" Classes: {named}{more}."
    return f'<p class="lead">{html.escape(text)}</p>'


def _newest(folder: RunFolder, suffix: str) -> dict[str, tuple[int, Path]]:
    """By name, the artefact of the greatest step."""
    found: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.samples.glob(f"*{suffix}")):
        match = _ARTEFACT.fullmatch(path.name)
        if match:
            found[match["name"]] = max(
                found.get(match["name"], (-1, path)), (int(match["step"]), path)
            )
    order = list(_CAPTIONS)
    return dict(
        sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else 99)
    )


def _pictures(folder: RunFolder) -> list[str]:
    blocks = []
    for name, (step, path) in _newest(folder, ".png").items():
        blocks.append(_picture(path, f"{_CAPTIONS.get(name, name)} (step {step:,})"))
        moving = folder.samples / f"{name}.gif"
        if moving.exists():
            blocks.append(_picture(moving, "Training, from the first evaluation to the last"))
    return blocks


def _picture(path: Path, caption: str) -> str:
    caption = html.escape(caption)
    data = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{caption}" src="data:image/{path.suffix[1:]};base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _texts(folder: RunFolder) -> str:
    blocks = []
    for name, (step, path) in _newest(folder, ".txt").items():
        caption = html.escape(f"{_CAPTIONS.get(name, name)} (step {step:,})")
        text = html.escape(path.read_text("utf-8"))
        blocks.append(f"<figure><figcaption>{caption}</figcaption><pre>{text}</pre></figure>")
    return "".join(blocks)


def metrics_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a line of metrics.jsonl, but for those that were not finite."""
    return {
        k: v for k, v in record.items() if k not in ("step", "split", "wall_s") and v is not None
    }


def baselines_of(records: list[dict]) -> dict[str, dict[str, float]]:
    """By name, the metrics of each trivial model that stands beside a run."""
    return {m["split"]: metrics_of(m) for m in records if m["split"] not in ("train", "heldout")}


def _metrics(config: dict[str, Any], records: list[dict]) -> str:
    """A table: each figure at the last evaluation, its references, and what it means."""
    evaluations = [m for m in records if m["split"] == "heldout"]
    if not evaluations:
        return "<p>None yet.</p>"
    last, baselines = evaluations[-1], baselines_of(records)
    names = ["this model", *baselines]
    head = "".join(f'<th class="n">{html.escape(n)}</th>' for n in names)
    rows = []
    for metric, value in metrics_of(last).items():
        cells = [value, *(r.get(metric) for r in baselines.values())]
        shown = "".join(f'<td class="n">{"" if c is None else f"{c:.4g}"}</td>' for c in cells)
        meaning = html.escape(config.get("metrics", {}).get(metric, ""))
        rows.append(
            f"<tr><td><code>{html.escape(metric)}</code></td>{shown}<td>{meaning}</td></tr>"
        )
    table = f"<table><tr><th>figure</th>{head}<th>what it is</th></tr>{''.join(rows)}</table>"
    return _best(config, evaluations) + table


def _best(config: dict[str, Any], evaluations: list[dict]) -> str:
    """The evaluation that the best state is of, and how it compares with the goal."""
    score, goal = config.get("score"), config.get("goal")
    scored = [m for m in evaluations if m.get(score) is not None]
    if not scored:
        return ""
    best = min(scored, key=lambda m: (m[score], m["step"]))
    text = f"Best {score}: {best[score]:.4g} at step {best['step']:,}; the lower the better."
    if goal is not None:
        text += f" Goal: {goal}, {'reached' if best[score] <= goal else 'not reached yet'}."
    return f"<p>{html.escape(text)}</p>"


def _curves(config: dict[str, Any], records: list[dict]) -> list[str]:
    """One drawing for each figure: over training, over held-out evaluations, and its baselines.

    Below it, what the figure is, where the table of held-out metrics does not say so.
    """
    evaluations = [m for m in records if m["split"] == "heldout"]
    said = metrics_of(evaluations[-1]) if evaluations else {}
    by_metric: dict[str, dict[str, tuple[list, list]]] = {}
    baselines = baselines_of(records)
    for record in records:
        if record["split"] in ("train", "heldout"):
            for name, value in metrics_of(record).items():
                steps, values = by_metric.setdefault(name, {}).setdefault(record["split"], ([], []))
                steps.append(record["step"])
                values.append(value)
    drawn = []
    for name, series in by_metric.items():
        # A figure that never changes, such as a penalty that is not in use, has no curve to show.
        if all(len(set(values)) < 2 for _, values in series.values()):
            continue
        levels = {split: values[name] for split, values in baselines.items() if name in values}
        meaning = "" if name in said else html.escape(config.get("metrics", {}).get(name, ""))
        caption = f"<figcaption>{meaning}</figcaption>" if meaning else ""
        drawn.append(f"<figure>{curves(series, levels, name)}{caption}</figure>")
    return drawn


def _configuration(config: dict[str, Any]) -> str:
    rows = {
        **config.get("options", {}),
        **config.get("versions", {}),
        "data sha256": config.get("data", {}).get("sha256"),
    }
    cells = "".join(
        f"<tr><td><code>{html.escape(k)}</code></td><td>{html.escape(str(v))}</td></tr>"
        for k, v in rows.items()
    )
    command = html.escape(config.get("command", ""))
    content = f"<pre>{command}</pre><table>{cells}</table>"
    return f"<details><summary>Configuration</summary>{content}</details>"
