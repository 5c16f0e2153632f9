"""aigc_jax: GANs, VAEs and Transformers as pure JAX functions.

    from aigc_jax import gan, vae, transformer

Each family is a package of its own: `make(config, ...) -> Algorithm(init, step, sample)`, and
beneath it the pure functions that take everything explicitly. Importing the package starts no
backend, reads no flags and sets no global configuration.
"""

__version__ = "0.1.0"
