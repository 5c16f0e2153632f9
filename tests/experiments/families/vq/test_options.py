"""The options of codes: presets are the package's, and what has no effect is refused."""

import dataclasses

import jax
import pytest

from aigc_jax import vq
from aigc_jax.errors import InputError
from experiments.cli.options import from_flags
from experiments.families.vq.options import CONFIGS, PRESETS, to_config

METADATA = {"image_shape": [28, 28, 1], "classes": 10}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_preset_of_codes_leads_back_to_the_packages_configuration(name):
    config, expected = to_config(PRESETS[name], METADATA), CONFIGS[name]
    states = [jax.eval_shape(vq.make(c).init, jax.random.key(0)) for c in (config, expected)]
    for part in ("params", "quantiser", "frequencies"):
        one, other = (jax.tree.map(lambda a: a.shape, getattr(s, part)) for s in states)
        assert one == other
    assert config.quantiser.codes == expected.quantiser.codes
    for field in dataclasses.fields(vq.Config):
        if field.name not in ("architecture", "quantiser", "decay_steps"):
            assert getattr(config, field.name) == getattr(expected, field.name), field.name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "vq", "levels": "8,8"}, "--levels=8,8 has no effect with --preset=vq"),
        ({"preset": "fsq", "codes": 64}, "--codes=64 has no effect with --preset=fsq"),
        ({"preset": "fsq", "latent_size": 8}, "--latent_size=8 has no effect"),
        ({"preset": "fsq", "levels": "8,one"}, "--levels=8,one must be whole numbers"),
        ({"preset": "fsq", "levels": "8,1"}, "--levels=8,1 must be whole numbers"),
        ({"preset": "vq", "binarisation": "static"}, "--binarisation=static is of"),
    ],
)
def test_what_codes_have_no_use_for_is_refused(values, message):
    options = from_flags(PRESETS, values)
    with pytest.raises(InputError, match=message):
        to_config(options, METADATA)
