"""Frame-level phone accuracy, macro F1 and error reduction over the majority class, for `evaluate`."""
# evaluate scans this file for imports before it loads it and reads one import a line.

import datasets
import evaluate
import numpy as np

import probes.scores

_DESCRIPTION = """\
Scores of frame-level (or segment-level) classification: accuracy, macro F1, and the share of the
majority baseline's errors that are gone."""

_INPUTS = """
Args:
    predictions: list of int, class of each frame as predicted.
    references: list of int, true class of each frame.
    majority: int, optional, the class that the baseline answers always: the commonest class of the
        train data. By default the commonest of `references`.
Returns:
    accuracy: float between 0 and 1, higher is better.
    macro_f1: float between 0 and 1, the mean over classes that occur or are predicted.
    error_reduction: float, 1 for no errors, 0 for those of the baseline, negative for more;
        not a number where the baseline makes none.
Examples:
    >>> metric = evaluate.load("/path/to/probes/metrics/phone_accuracy")
    >>> metric.compute(predictions=[0, 0, 1, 1], references=[0, 0, 1, 0])
    {'accuracy': 0.75, 'macro_f1': 0.7333333333333334, 'error_reduction': 0.0}
"""

_CITATION = """\
@article{chrupala2020analyzing,
  title={Analyzing analytical methods: The case of phonology in neural models of spoken language},
  author={Chrupa{\\l}a, Grzegorz and Higy, Bertrand and Alishahi, Afra},
  journal={ACL}, year={2020}
}"""


class PhoneAccuracy(evaluate.Metric):
    """The metric; its numbers are those of `probes.scores`."""

    def _info(self) -> evaluate.MetricInfo:
        features = {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(features),
        )

    def _compute(self, predictions: list, references: list, majority: int | None = None) -> dict[str, float]:
        truth, predicted = np.asarray(references), np.asarray(predictions)
        values = truth if majority is None else np.append(truth, majority)
        known = np.unique(np.append(values, predicted))  # class codes may be any integers
        truth, predicted = np.searchsorted(known, truth), np.searchsorted(known, predicted)
        guess = np.bincount(truth).argmax() if majority is None else np.searchsorted(known, majority)
        size = len(known)
        counts = probes.scores.confusions(truth, predicted, size)[0]
        baseline = probes.scores.confusions(truth, np.full(len(truth), guess), size)[0]
        return {
            name: float(value)
            for name, value in probes.scores.scores(*map(probes.scores.tally, (counts, baseline))).items()
        }
