"""In Keras and TensorFlow."""
