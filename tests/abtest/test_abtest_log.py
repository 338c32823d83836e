"""An A/B test on a real prediction log: the columns that the log gives are those that the analysis reads."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from mlprod_nb.abtest import analyse, parse
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.schema import FeedbackBatch, PredictionBatch, encode_feedback, encode_predictions
from mlprod_nb.prediction_log.segments import SegmentWriter
from tests.abtest.tables import START
from tests.prediction_log.batches import append

COUNT = 2_000


def test_the_log_gives_what_the_analysis_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    variant = [("champion", "challenger")[i % 2] for i in range(COUNT)]
    truth = rng.random(COUNT) < 0.3
    right = rng.random(COUNT) < np.where(np.arange(COUNT) % 2 == 1, 0.9, 0.7)
    ids = [f"{i:036d}" for i in range(COUNT)]
    moments = [START + timedelta(minutes=i) for i in range(COUNT)]
    writer = SegmentWriter(tmp_path)
    predictions = PredictionBatch(
        prediction_id=ids,
        request_id=ids,
        endpoint=["flights"] * COUNT,
        revision=[2] * COUNT,
        variant=variant,
        model=["flights"] * COUNT,
        version=[3 if name == "champion" else 4 for name in variant],
        shadow=[False] * COUNT,
        unit=[f"N{i % 500}" for i in range(COUNT)],
        event_time=moments,
        received_at=moments,
        latency_ms=[1.5] * COUNT,
        prediction=[str(int(is_late == is_right)) for is_late, is_right in zip(truth, right, strict=True)],
        score=[0.5] * COUNT,
        inputs={"distance": [100.0] * COUNT},
    )
    feedback = FeedbackBatch(
        prediction_id=ids,
        endpoint=["flights"] * COUNT,
        kind=["label"] * COUNT,
        name=["label"] * COUNT,
        text=[str(int(is_late)) for is_late in truth],
        number=[float(is_late) for is_late in truth],
        source=["test"] * COUNT,
        event_time=moments,
        received_at=moments,
    )
    for record in (encode_predictions(predictions), encode_feedback(feedback)):
        append(writer, record).result(timeout=30)
    writer.close()

    log = PredictionLog(tmp_path)
    design = parse("", endpoint="flights", variants=("champion", "challenger"), task="classification", started_at=START)
    shares = {"champion": 0.5, "challenger": 0.5}
    found = analyse(log.labelled(log.pin("flights")), design, shares=shares, task="classification", classes=(0, 1))
    assert found.decision == "ship"
    assert found.labelled_share == {"champion": 1.0, "challenger": 1.0}
    assert found.sample_ratio.observed == {"champion": 250, "challenger": 250}
    assert found.started_at == START
