"""The HTML page of a run, made from its folder alone: one file, with all artefacts in it.

What is particular to an experiment is in the run's config.json: captions, in the order of the page;
what each metric means; and warnings.
"""

import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aigc_jax import printed, storage
from aigc_jax.artefacts import KINDS, Animation, Text
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
.row figure { max-width: 29rem }
figure img { width: 100%; max-width: 29rem; image-rendering: pixelated }
figure img[src^="data:image/gif"] { width: min(29rem, 90vw) }
figcaption { color: #555e6e; font-size: .85rem }
pre { background: #f5f6f8; padding: .8rem; overflow-x: auto; font-size: .8rem; max-height: 34rem }
svg { max-width: 100%; height: auto }
audio { width: 29rem; max-width: 90vw }
summary { cursor: pointer; margin-top: 1.2rem; font-weight: 600 }
code { background: #f5f6f8; padding: 0 .2rem }
"""
_ARTEFACT = re.compile(r"(?P<name>.+)_(?P<step>\d+)(?P<suffix>\.\w+)")
_NAMED = 30  # classes whose names are shown


def page(title: str, lead: str, sections: list[str]) -> str:
    """A whole HTML document; `sections` are HTML, title and lead are text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(title)}</title>\n"
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n'
        f'<body><h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p>\n'
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def run_section(folder: RunFolder, config: Mapping[str, Any]) -> str:
    """The HTML section of one run: artefacts, held-out metrics, curves, configuration, time.

    Args:
      folder: of the run.
      config: its config.json.

    Raises:
      InputError: the storage fails.
    """
    records = folder.read_metrics()
    parts = [
        f"<h2>{html.escape(config.get('title', folder.path.name))}</h2>",
        _lead(config, records),
    ]
    parts += [
        f'<p class="warning"><b>Warning.</b> {html.escape(sentence)}</p>'
        for sentence in config.get("warnings", [])
    ]
    with storage.told(folder.samples):
        files = _newest(folder, config.get("captions", {}))
        shown = "".join(_figure(f) for f in files if f.path.suffix != Text.suffix)
        texts = "".join(_figure(f) for f in files if f.path.suffix == Text.suffix)
    return "\n".join(
        [
            *parts,
            f'<div class="row">{shown}</div>',
            texts,
            f"<h3>Held-out metrics</h3>{_metrics(config, records)}",
            f'<h3>Curves</h3><div class="row">{"".join(_curves(config, records))}</div>',
            _configuration(config),
        ]
    )


def write_page(folder: RunFolder, config: Mapping[str, Any]) -> Path:
    """Writes index.html of one run and returns its path; see `run_section`.

    Raises:
      InputError: the storage fails.
    """
    title = f"{config.get('title', 'Run')}: {folder.path.name}"
    folder.write(folder.page, page(title, "A run of aigc_jax.", [run_section(folder, config)]))
    return folder.page


def _lead(config: Mapping[str, Any], records: list[dict]) -> str:
    data, options = config.get("data", {}), config.get("options", {})
    done = max((m["step"] for m in records), default=0)
    seconds = max((m.get("wall_s") or 0 for m in records), default=0)
    parameters = ", ".join(
        f"{name} {count:,}" for name, count in config.get("parameters", {}).items()
    )
    about = config.get("preset", {}).get("about")
    text = (f"{about} " if about else "") + (
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


class _File(NamedTuple):
    """An artefact that the page shows."""

    path: Path
    caption: str  # text


def _newest(folder: RunFolder, captions: Mapping[str, str]) -> list[_File]:
    """The artefact of the latest step for each name and kind, in the order of their captions.

    An animation of the same name, which covers all steps, follows.
    """
    found: dict[tuple[str, str], tuple[int, Path]] = {}
    for path in folder.samples.iterdir():
        match = _ARTEFACT.fullmatch(path.name)
        if match and match["suffix"] in KINDS:
            key, this = (match["name"], match["suffix"]), (int(match["step"]), path)
            found[key] = max(found.get(key, this), this)
    order = {name: place for place, name in enumerate(captions)}

    def files() -> Iterator[_File]:
        for name, suffix in sorted(found, key=lambda key: (order.get(key[0], len(order)), key)):
            step, path = found[name, suffix]
            yield _File(path, f"{captions.get(name, name)} (step {step:,})")
            moving = folder.samples / f"{name}{Animation.suffix}"
            if suffix != Text.suffix and moving.exists():
                yield _File(moving, "Training, from the first evaluation to the last")

    return list(files())


def _figure(file: _File) -> str:
    caption = html.escape(file.caption)
    parts = [
        KINDS[file.path.suffix].embed(file.path.read_bytes(), caption),
        f"<figcaption>{caption}</figcaption>",
    ]
    if file.path.suffix == Text.suffix:  # which may be long
        parts.reverse()
    return f"<figure>{''.join(parts)}</figure>"


def metrics_of(record: Mapping[str, Any]) -> dict[str, float]:
    """The metrics of a line of metrics.jsonl, without those that were not finite."""
    return {
        k: v for k, v in record.items() if k not in ("step", "split", "wall_s") and v is not None
    }


def baselines_of(records: list[dict]) -> dict[str, dict[str, float]]:
    """By name, the metrics of each trivial model that a run is compared with."""
    return {m["split"]: metrics_of(m) for m in records if m["split"] not in ("train", "heldout")}


def _metrics(config: Mapping[str, Any], records: list[dict]) -> str:
    """A table: each metric at the last evaluation, its baselines, and what it means."""
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
        meaning = html.escape(_meaning(config, metric))
        rows.append(
            f"<tr><td><code>{html.escape(metric)}</code></td>{shown}<td>{meaning}</td></tr>"
        )
    table = f"<table><tr><th>metric</th>{head}<th>meaning</th></tr>{''.join(rows)}</table>"
    return _best(config, evaluations) + table


def _meaning(config: Mapping[str, Any], metric: str) -> str:
    """What a metric means; one of several numbers, such as `loss[3]`, means what `loss` does."""
    return config.get("metrics", {}).get(metric.partition("[")[0], "")


def _best(config: Mapping[str, Any], evaluations: list[dict]) -> str:
    """The best score, its step, and how it compares with the goal."""
    score, goal = config.get("score"), config.get("goal")
    scored = [m for m in evaluations if m.get(score) is not None]
    if not scored:
        return ""
    best = min(scored, key=lambda m: (m[score], m["step"]))
    text = f"Best {score}: {best[score]:.4g} at step {best['step']:,}; lower is better."
    if goal is not None:
        text += f" Goal: {goal}, {'reached' if best[score] <= goal else 'not reached yet'}."
    return f"<p>{html.escape(text)}</p>"


def _curves(config: Mapping[str, Any], records: list[dict]) -> list[str]:
    """One drawing for each metric: in training, in held-out evaluations, and its baselines.

    Below it, what the metric means, where the table of held-out metrics does not say so.
    """
    evaluations = [m for m in records if m["split"] == "heldout"]
    explained = metrics_of(evaluations[-1]) if evaluations else {}
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
        # A metric that never changes, such as a penalty that is not in use, has no curve to show.
        if all(len(set(values)) < 2 for _, values in series.values()):
            continue
        levels = {split: values[name] for split, values in baselines.items() if name in values}
        meaning = "" if name in explained else html.escape(_meaning(config, name))
        caption = f"<figcaption>{meaning}</figcaption>" if meaning else ""
        drawn.append(f"<figure>{curves(series, levels, name)}{caption}</figure>")
    return drawn


def _configuration(config: Mapping[str, Any]) -> str:
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
    preset, expected = config.get("preset"), ""
    if preset:
        text = f"The preset as it was tried: {preset['reaches']}; {preset['time']}: "
        expected = f"<p>{html.escape(text)}<code>{html.escape(preset['command'])}</code></p>"
    content = f"<pre>{command}</pre>{expected}<table>{cells}</table>"
    return f"<details><summary>Configuration</summary>{content}</details>"
