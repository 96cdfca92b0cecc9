"""Let the training flag reach the layers that depend on it."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Pass the training flag"
TREATS = ("bn_trained_in_inference_mode",)


def explain(case: Case, finding: Finding) -> str:
    """Nothing for serving; the flag for the next training."""
    return (
        "For serving nothing needs to change: the inference phase is the one that was trained. For the next "
        "training, call the model with `training=True` in a custom loop, and give every `call` that has layers "
        "inside a `training` argument which it passes on."
    )


def snippet(case: Case) -> str | None:
    """The two places where the flag gets lost."""
    return (
        "class Block(keras.layers.Layer):\n"
        "    def call(self, x, training=None):\n"
        "        return self.norm(x, training=training)\n\n"
        "with tf.GradientTape() as tape:\n"
        "    loss = loss_fn(y, model(x, training=True))\n"
    )
