"""Let the training flag reach the layers that depend on it."""

from __future__ import annotations

from analyzers.case import Case, Finding

TITLE = "Pass the training flag"
TREATS = ("bn_trained_in_inference_mode", "bn_batch_statistics_at_inference", "stochastic_at_inference")
WHAT = (
    "Gives every `call` that contains layers a `training` argument, passes it on, and never fixes it to True or False "
    "inside. A custom loop calls the model with `training=True`. Where the model was trained with batch normalization "
    "inert, serving needs no change and only the next training does."
)


def explain(case: Case, finding: Finding) -> str:
    """Nothing for serving; the flag for the next training."""
    if finding.layers and not case.inference_better:
        return (
            "Find where the flag is fixed to `training=True` inside the model, and pass on the one that the caller "
            f"gives (layers concerned: {', '.join(f'`{p}`' for p in finding.layers[:5])}). Then the inference phase "
            "uses stored statistics and draws nothing; look at it again, since nobody has seen it until now."
        )
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
