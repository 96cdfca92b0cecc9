"""Code to paste, in the words of the Keras that the model is of."""

from __future__ import annotations

from analyzers.report import Report

LEGACY_ROUTE = "tf_keras"
IMPORT = "import keras\n"
LEGACY_IMPORT = "import tf_keras as keras  # Keras 2; plain `import keras` where that still is Keras 2\n"


def speak(report: Report) -> Report:
    """The report with snippets that run where its model does; the code itself is the same for both."""
    if (report.model.route or "").startswith(LEGACY_ROUTE):
        for remedy in report.remedies:
            if remedy.snippet is not None:
                remedy.snippet = remedy.snippet.replace(IMPORT, LEGACY_IMPORT)
    return report
