"""What networks are put together from, as the recipe says: normalizations, activations, noise, heads."""

from __future__ import annotations

from typing import Any

import keras

from benchmarks.quality.settings import Recipe, Setting

L = keras.layers

AUGMENTATIONS = (
    lambda: [L.RandomTranslation(0.15, 0.15)],
    lambda: [L.RandomRotation(0.12), L.RandomZoom(0.15)],
    lambda: [L.RandomFlip("horizontal"), L.RandomContrast(0.4), L.RandomTranslation(0.1, 0.1)],
)


class Parts:
    """Makes the layers of one network; counts normalizations so that one of them can differ."""

    def __init__(self, setting: Setting, recipe: Recipe) -> None:
        self.setting, self.recipe = setting, recipe
        self.norms = 0
        rng = setting.rng("parts")
        self.activation = str(rng.choice(["relu", "relu", "leaky_relu", "gelu", "elu"]))
        self.bias = bool(rng.integers(2))

    def width(self, units: int) -> int:
        """Units or filters."""
        return self.setting.width(units)

    def penalty(self) -> Any:
        """The kernel's regularizer, or None."""
        return keras.regularizers.L2(self.recipe.penalty) if self.recipe.penalty else None

    def dense(self, units: int) -> Any:
        """A dense layer without activation."""
        return L.Dense(self.width(units), use_bias=self.bias, kernel_regularizer=self.penalty())

    def conv(self, filters: int, kernel: int = 3, stride: int = 1) -> Any:
        """A convolution over images without activation."""
        return L.Conv2D(
            self.width(filters), kernel, stride, "same", use_bias=self.bias, kernel_regularizer=self.penalty()
        )

    def norm(self) -> Any:
        """The next normalization."""
        recipe, index = self.recipe, self.norms
        self.norms += 1
        if recipe.norm == "none":
            return L.Activation("linear")
        if recipe.norm == "layer":
            return L.LayerNormalization()
        if recipe.norm == "group":
            return L.GroupNormalization(groups=-1 if self.setting.net == "conv1d" else 1)
        momentum = recipe.slow_momentum if index == recipe.slow_index else recipe.momentum
        return L.BatchNormalization(momentum=momentum, epsilon=recipe.epsilon)

    def act(self) -> Any:
        """The activation of this network."""
        return L.LeakyReLU(0.1) if self.activation == "leaky_relu" else L.Activation(self.activation)

    def normed(self, x: Any) -> Any:
        """Normalization and activation, with the noise that stands before or after them."""
        noise, rate = self.recipe.noise, self.recipe.noise_rate
        if noise == "dropout_bn":
            x = L.Dropout(rate)(x)
        x = self.act()(self.norm()(x))
        if noise == "spatial" and len(x.shape) in (3, 4):
            x = (L.SpatialDropout1D if len(x.shape) == 3 else L.SpatialDropout2D)(rate)(x)
        if noise == "gauss":
            x = L.GaussianNoise(rate)(x)
        return x

    def entrance(self, x: Any) -> Any:
        """Noise on the inputs."""
        if self.recipe.noise == "augment" and len(x.shape) == 4:
            for layer in AUGMENTATIONS[self.setting.seed % len(AUGMENTATIONS)]():
                x = layer(x)
        return x

    def head(self, x: Any) -> Any:
        """Noise on the features, then what the setting asks for."""
        kinds = {"dropout": L.Dropout, "alpha": L.AlphaDropout, "product": L.GaussianDropout}
        if self.recipe.noise in kinds:
            x = kinds[self.recipe.noise](self.recipe.noise_rate)(x)
        kind, k = self.setting.head, self.setting.classes
        if kind == "mask":
            return L.Conv2D(1, 1, activation="sigmoid", name="mask")(x)
        units = k if self.setting.is_classifier else 1
        activation = {"softmax": "softmax", "onehot": "softmax", "sigmoid": "sigmoid"}.get(kind)
        return L.Dense(units, activation=activation)(x)
