"""What rows of the prediction log are shown as."""

from __future__ import annotations

from mlprod_nb.lifecycle.logs import LogsResult


def test_of_a_row_with_many_inputs_the_first_are_shown_and_the_rest_counted() -> None:
    inputs = {f"column {number}": float(number) for number in range(1, 31)}
    result = LogsResult("tumours", ({"prediction": "1", "inputs": inputs}, {"inputs": {"hour": 6, "carrier": "UA"}}))
    (table,) = result.sections()
    wide, narrow = (row[table.columns.index("inputs")] for row in table.rows)
    assert wide == "column 1 1, column 2 2, column 3 3, column 4 4, column 5 5, column 6 6 and 24 more"
    assert narrow == {"hour": 6, "carrier": "UA"}
    assert result.to_frame()["inputs"][0] == inputs
