"""Whether everybody holds the same numbers."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import orjson

from tests.baselines import our_forms
from tests.baselines.calls import Client
from tests.baselines.records_plan import Answer, Plan, microvolts
from tests.baselines.row_store import Way
from tests.support.night import KEYS, RATE, digital


def check(plan: Plan) -> Answer:
    """Compare what everybody answers for the same windows, number by number."""
    compared = 0
    with (
        closing(Client(plan.peer["url"])) as peer,
        closing(Client(plan.ours["url"])) as ours,
    ):
        for start in (0, plan.row_s // 2, plan.row_s - 2):
            asked = {
                "patient_id": plan.patient,
                "recording_id": plan.recording,
                "start": start,
                "end": start + 2,
            }
            truth = microvolts(digital(Path(plan.night), start, start + 2))
            answers = {
                f"rows {way}": orjson.loads(peer.get("/eeg", **asked, way=way))
                for way in (Way.ORM, Way.CORE)
            }
            answers["blobs"] = orjson.loads(peer.get("/blobs/eeg", **asked))
            answers["ours"] = orjson.loads(ours.get("/eeg", **asked))
            for name, answer in answers.items():
                if list(answer) != list(KEYS) and sorted(answer) != sorted(KEYS):
                    raise AssertionError(f"{name}: channels {list(answer)}")
                for row, key in zip(truth, KEYS, strict=True):
                    times = [point["timestamp"] for point in answer[key]]
                    values = [point["value"] for point in answer[key]]
                    np.testing.assert_array_equal(times, start + np.arange(2 * RATE) / RATE)
                    np.testing.assert_allclose(values, row, rtol=0, atol=1e-9, err_msg=name)
                    compared += len(values)
            for name, decoded in our_forms.decoded(ours, asked).items():
                np.testing.assert_allclose(decoded, truth, rtol=0, atol=1e-4, err_msg=name)
                compared += decoded.size
    return {"samples compared": compared}
