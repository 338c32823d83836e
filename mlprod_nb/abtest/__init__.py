"""A/B tests: which variant is better, said so that any number of looks keeps the error rate.

The endpoint's split is the design, its prediction log and feedback are the data, and the verdict is a cell, a report
and an exit code. Health comes first: a split that did not come out as designed makes a test invalid, whatever its lift.

Guarantee: with the default method the chance of ever calling a difference that is not there is at most alpha, however
often the test is read.
"""

from mlprod_nb.abtest.analysis import analyse
from mlprod_nb.abtest.design import Design, Guardrail
from mlprod_nb.abtest.metrics import BUILT_IN, Metric, Outcome
from mlprod_nb.abtest.parsing import merge, own_metrics, parse
from mlprod_nb.abtest.power import Aim, Baseline, PlanResult, baseline, plan
from mlprod_nb.abtest.results import ABTestResult, LookPoint, MetricLift
from mlprod_nb.abtest.srm import SampleRatioCheck

__all__ = [
    "BUILT_IN",
    "ABTestResult",
    "Aim",
    "Baseline",
    "Design",
    "Guardrail",
    "LookPoint",
    "Metric",
    "MetricLift",
    "Outcome",
    "PlanResult",
    "SampleRatioCheck",
    "analyse",
    "baseline",
    "merge",
    "own_metrics",
    "parse",
    "plan",
]
