"""Errors, statuses and problem documents."""

from __future__ import annotations

import pytest

from mlprod_nb import errors as core
from mlprod_nb.serving import errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (core.InvalidInput("x"), 422),
        (core.NotFound("endpoint", "x"), 404),
        (core.UsageError("x"), 400),
        (errors.MalformedRequest("x"), 400),
        (errors.Unauthenticated("x"), 401),
        (core.AccessDenied("x"), 403),
        (core.Refused("x"), 409),
        (errors.TooSlow("x"), 408),
        (errors.TooLarge("x"), 413),
        (errors.TargetTooLong("x"), 414),
        (errors.UnsupportedMedia("x"), 415),
        (errors.NotAvailable("x"), 422),
        (errors.HeadTooLarge("x"), 431),
        (errors.TooManyRequests("x"), 429),
        (errors.ModelFailed("x"), 500),
        (core.Corrupt("x"), 500),
        (errors.LogUnavailable("x"), 503),
        (core.Unavailable("x"), 503),
        (errors.DeadlinePassed("x"), 504),
    ],
)
def test_each_class_has_its_status(error: core.MlprodError, status: int) -> None:
    assert errors.status_of(error) == status


def test_no_class_in_the_table_stands_behind_one_that_hides_it() -> None:
    kinds = [kind for kind, _ in errors.STATUS]
    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:place])


def test_what_went_wrong_inside_is_not_told_and_what_the_gateway_says_itself_is() -> None:
    inner = errors.problem(core.Unavailable("cannot open /srv/secret/state.db"), "id-1")
    assert "secret" not in str(inner)
    assert inner["request_id"] == "id-1"
    own = errors.problem(errors.ModelFailed("variant 'x' failed on these rows."), "id-1")
    assert own["detail"] == "variant 'x' failed on these rows."
    assert own["type"] == "urn:mlprod:problem:model-failed"


def test_a_problem_names_the_column_the_row_and_the_nearest_name() -> None:
    invalid = errors.problem(core.InvalidInput("x", column="distance", row=0), "id")
    assert (invalid["column"], invalid["row"]) == ("distance", 0)
    assert errors.problem(core.NotFound("endpoint", "fligths", ["flights"]), "id")["nearest"] == "flights"


def test_what_a_caller_wrote_is_repeated_in_part_where_it_is_long() -> None:
    told = errors.problem(core.InvalidInput("x" * 5000, column="y" * 5000), "id")
    assert (len(told["detail"]), len(told["column"])) == (1001, 1001)
    malformed = errors.problem(errors.MalformedRequest("x", pointer="/a/0"), "id")
    assert malformed["pointer"] == "/a/0"


def test_a_status_carries_the_headers_it_asks_for() -> None:
    assert errors.headers_of(401)["WWW-Authenticate"].startswith("Bearer")
    assert errors.headers_of(503) == errors.headers_of(429) == {"Retry-After": "1"}
    assert errors.headers_of(422) == {}
