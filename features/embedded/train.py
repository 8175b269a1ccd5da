"""Trains the embedded backbone and writes its weights and its card beside this file.

    python -m features.embedded.train FOLDER

FOLDER holds CIFAR-10 as images: train/<class>/*.jpg and test/<class>/*.jpg. The test images are
looked at once, after the last epoch.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from datetime import date
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from features.datasets import identify
from features.datasets.cifar import OFFICIAL
from features.embedded.network import build

HERE = Path(__file__).parent
BATCH = 128
PEAK_RATE = 0.2
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1
SHIFT = 4


def read(folder: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Reads a folder with one subfolder a class.

    Returns:
        Images, uint8 (n, 32, 32, 3); one-hot labels, float32 (n, classes); the class names.
    """
    batches = keras.utils.image_dataset_from_directory(
        folder, image_size=(32, 32), batch_size=1000, label_mode="categorical", shuffle=False
    )
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(images).astype(np.uint8), np.concatenate(labels), batches.class_names


def augmented(images: np.ndarray, labels: np.ndarray, seed: int) -> tf.data.Dataset:
    """Shuffled batches, each image mirrored and shifted by up to `SHIFT` pixels at random."""

    def augment(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = tf.image.random_flip_left_right(image)
        image = tf.pad(image, [[SHIFT, SHIFT], [SHIFT, SHIFT], [0, 0]], mode="REFLECT")
        return tf.image.random_crop(image, (32, 32, 3)), label

    return (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .shuffle(len(images), seed=seed)
        .map(augment, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(BATCH, drop_remainder=True)
        .prefetch(2)
    )


def classifier(trunk: keras.Model, classes: int) -> keras.Model:
    """The backbone behind its preprocessing (pixels to -1..1) and under a linear top."""
    inputs = keras.Input((32, 32, 3), dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = keras.layers.GlobalAveragePooling2D()(trunk(x))
    return keras.Model(inputs, keras.layers.Dense(classes, dtype="float32")(x))


def main() -> None:
    """Trains, tests once, writes `embedded.weights.h5` and `card.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="CIFAR-10 as train/<class>/* and test/<class>/*")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memo", type=Path, default=Path("cache/contents.json"))
    arguments = parser.parse_args()

    keras.utils.set_random_seed(arguments.seed)
    images, labels, names = read(arguments.folder / "train")
    # bfloat16 halves the time on a processor that has it; the weights stay float32.
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    trunk = build()
    model = classifier(trunk, len(names))
    steps = arguments.epochs * (len(images) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 5, warmup_target=PEAK_RATE, warmup_steps=steps // 5
    )
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY),
        keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
    )
    start = time.time()
    history = model.fit(
        augmented(images, labels, arguments.seed), epochs=arguments.epochs, verbose=2
    )
    seconds = time.time() - start

    # Tested as it will be used: float32 throughout.
    keras.mixed_precision.set_global_policy("float32")
    final = build()
    final.set_weights(trunk.get_weights())
    tested = classifier(final, len(names))
    tested.layers[-1].set_weights(model.layers[-1].get_weights())
    test_images, test_labels, _ = read(arguments.folder / "test")
    predicted = tested.predict(test_images, batch_size=500, verbose=0).argmax(axis=1)
    accuracy = float(np.mean(predicted == test_labels.argmax(axis=1)))

    final.save_weights(HERE / "embedded.weights.h5")
    card = {
        "name": "Embedded",
        "parameters": final.count_params(),
        "input": "32x32 RGB, scaled to -1..1 (x / 127.5 - 1)",
        "trained_on": {
            "dataset": "cifar10",
            "split": "train",
            "images": len(images),
            "stored_as": "JPEG",
            "classes": names,
            # By these a study is recognised that would evaluate the backbone on what it has seen.
            "contents": [
                OFFICIAL["cifar10"].sha256,
                identify("folder", arguments.folder, arguments.memo),
            ],
        },
        "test_accuracy": round(accuracy, 4),
        "test_images": len(test_images),
        "train_accuracy": round(history.history["accuracy"][-1], 4),
        "recipe": {
            "epochs": arguments.epochs,
            "batch": BATCH,
            "optimizer": "SGD, Nesterov momentum 0.9, cosine decay after a linear warm-up",
            "peak_rate": PEAK_RATE,
            "weight_decay": WEIGHT_DECAY,
            "label_smoothing": LABEL_SMOOTHING,
            "augmentation": f"mirror, shift by up to {SHIFT} pixels",
            "seed": arguments.seed,
            "keras": keras.__version__,
        },
        "seconds": round(seconds),
        "date": date.today().isoformat(),
    }
    (HERE / "card.json").write_text(json.dumps(card, indent=2) + "\n")
    print(f"test accuracy {accuracy:.4f} on {len(test_images)} images; {seconds:.0f} s")


if __name__ == "__main__":
    main()
