from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import click
import joblib
import pytest

from mlprod_nb import commands
from mlprod_nb.commands.grammar import _Noun, grammar
from mlprod_nb.commands.verbs import NOUNS, spelled
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.workspace import Workspace
from tests.fake_workspace import Called, FakeWorkspace

VERBS = list(commands.verbs().values())
FILES = ("$clf", "$X", "$y", "$X_test", "$y_test", "$april", "$when", "$ids", "$arrived_late", "$booked", "$monitor")


def call(line: str, **options: Any) -> commands.Call:
    parsed = commands.parse(commands.split(line), commands.Door(**options))
    assert isinstance(parsed, commands.Call)
    return parsed


def page(line: str) -> str:
    parsed = commands.parse(commands.split(line), commands.Door())
    assert isinstance(parsed, commands.Page)
    return parsed.text


def click_command(verb: commands.Verb) -> click.Command:
    command: click.Command = grammar()
    for word in verb.name.split():
        assert isinstance(command, click.Group)
        command = command.commands[word]
    # A noun that is a verb itself holds that one apart.
    own = command.own if isinstance(command, _Noun) else None
    return own or command


def test_every_public_method_of_the_facade_is_a_verb_and_nothing_else_is() -> None:
    public = {
        name
        for part in Workspace.__mro__
        for name, member in vars(part).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, staticmethod))
    }
    assert {verb.method for verb in VERBS} == public


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_options_equal_the_facades_keyword_parameters(verb: commands.Verb) -> None:
    parameters = [p for p in inspect.signature(getattr(Workspace, verb.method)).parameters.values() if p.name != "self"]
    keywords = {f"--{spelled(p.name)}" for p in parameters if p.kind is p.KEYWORD_ONLY}
    command = click_command(verb)
    assert {name for p in command.params if isinstance(p, click.Option) for name in p.opts} == keywords
    arguments = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    assert [p.name for p in command.params if isinstance(p, click.Argument)] == arguments


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_explains_itself_with_help_for_each_word_and_an_example(verb: commands.Verb) -> None:
    text = page(f"{verb.name} --help")
    assert verb.explanation.summary.split(",")[0].split(";")[0] in " ".join(text.split())
    assert verb.explanation.examples
    for parameter in verb.parameters:
        assert verb.explanation.parameters.get(parameter.name), f"{parameter.name} is not explained"
    assert set(verb.explanation.parameters) == {p.name for p in verb.parameters}
    assert all(example in text for example in verb.explanation.examples)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_example_parses_and_fits_the_method(verb: commands.Verb) -> None:
    names = {name.removeprefix("$"): object() for name in FILES}
    for example in verb.explanation.examples:
        program, *words = commands.split(example)
        assert program == "mlprod"
        result = commands.run(words, commands.Door(names=names, facade=FakeWorkspace))
        assert isinstance(result, Called)
        assert result.verb == verb.method


def test_every_verb_that_takes_a_body_says_so_and_no_other_does() -> None:
    for verb in VERBS:
        told = {name for name, text in verb.explanation.parameters.items() if "in a notebook the cell's body" in text}
        assert told == ({verb.body} if verb.body else set()), verb.name
    assert set(commands.BODY) <= set(commands.verbs())


def test_every_noun_holds_verbs() -> None:
    assert all(any(name.startswith(f"{noun} ") for name in commands.verbs()) for noun in NOUNS)


def test_no_verb_at_all_is_status() -> None:
    assert call("").verb.name == "status"


def test_alerts_alone_lists_them() -> None:
    assert call("alerts").verb.name == "alerts list"


def test_a_noun_that_is_a_verb_too_takes_its_own_words_and_those_of_its_verbs() -> None:
    assert call("release flights/4 --plan").verb.name == "release"
    assert call("release --wait flights/4").options["wait"]
    assert call("release pause flights").verb.name == "release pause"
    assert "release pause" in page("release --help")
    found = [suggestion.text for suggestion in commands.complete(["release"], "")]
    assert {"pause", "--plan"} <= set(found)


def test_help_of_the_program_shows_every_first_word() -> None:
    text = page("--help")
    assert all(f"\n  {name.split()[0]} " in text for name in commands.verbs())
    assert page("--version").startswith("mlprod_nb ")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("deplyo flights", "there is no verb 'deplyo'. Did you mean 'deploy'?"),
        ("who_served x", "there is no verb 'who_served'. Did you mean 'who-served'?"),
        ("abtest strat flights", "there is no verb 'abtest strat'. Did you mean 'abtest start'?"),
        ("deploy flights --resaon x", "there is no option of deploy '--resaon'. Did you mean '--reason'?"),
        ("abtest stop flights --reson x", "there is no option of abtest stop '--reson'. Did you mean '--reason'?"),
        ("rollback flights -to 2", "there is no option of rollback '-t'. Did you mean '--to'?"),
        ("register flights --model $clff --data $X", "there is no variable '$clff'. Did you mean '$clf'?"),
    ],
)
def test_an_unknown_word_is_answered_by_the_nearest_right_one(line: str, message: str) -> None:
    with pytest.raises(NotFound) as caught:
        call(line, names={"clf": 1, "X": 2})
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("deploy", "deploy needs VERSION. For example: mlprod deploy flights@champion"),
        ("route flights", "route needs SHARES."),
        ("who-served", "who-served needs PREDICTION ID."),
        ("predict flights", "predict needs --data."),
        ("rollback flights --to", "rollback: option '--to' requires an argument."),
        ("history flights --limit two", "--limit takes a whole number, and 'two' is not one."),
        ("abtest plan flights --effect much", "--effect takes a number, and 'much' is not one."),
        ("deploy a b", "deploy: got unexpected extra argument (b)."),
        ("abtest", "abtest needs a verb after it. There is: abtest plan, abtest start"),
    ],
)
def test_a_wrong_line_is_one_clear_line(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(line)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_an_unclosed_quote_is_named() -> None:
    with pytest.raises(UsageError, match="a quote is not closed"):
        commands.split("rollback flights --reason it's late")


def test_a_variable_passes_the_very_object() -> None:
    model, data = object(), object()
    options = call("register flights --model $clf --data=$X", names={"clf": model, "X": data}).options
    assert options["model"] is model
    assert options["data"] is data


@pytest.mark.parametrize("text", ["{1/0}", "$a.b", "$(whoami)", "`whoami`", "$", "$5", "{clf}", "a$clf", "$clf$clf"])
def test_nothing_but_a_whole_word_variable_is_expanded(text: str) -> None:
    assert call(f"rollback flights --reason '{text}'", names={"clf": "secret", "a": 1}).options["reason"] == text


def test_text_options_take_numbers_texts_and_moments_of_the_notebook_and_no_more() -> None:
    from datetime import UTC, date, datetime

    import numpy as np

    names = {"n": np.int64(3), "day": date(2013, 4, 1), "at": datetime(2013, 4, 1, tzinfo=UTC), "s": "x y", "o": [1]}
    assert call("history flights --limit $n", names=names).options["limit"] == 3
    assert call("rollback flights --to $n", names=names).options["to"] == "3"
    assert call("monitor flights --since $day", names=names).options["since"] == "2013-04-01"
    assert call("monitor flights --since $at", names=names).options["since"] == "2013-04-01T00:00:00+00:00"
    assert call("deploy $s", names=names).arguments == ("x y",)
    with pytest.raises(UsageError, match=r"--reason takes text, and \$o is a list"):
        call("rollback flights --reason $o", names=names)


def test_in_a_shell_a_variable_for_an_object_is_refused_and_text_stays_text() -> None:
    with pytest.raises(UsageError, match="there is no notebook here"):
        call("register flights --model $clf --data $X")
    assert call("rollback flights --reason $HOME").options["reason"] == "$HOME"


@pytest.mark.parametrize("word", ["$p.prediction_ids", "$p[0]", "$"])
def test_an_expression_where_an_object_is_due_is_refused_with_what_to_do(word: str) -> None:
    with pytest.raises(UsageError, match=r"only \$name passes an object\. Assign what you mean to a variable first\."):
        call(f"feedback flights --ids {word} --values $y", names={"p": 1, "y": [1]})


def test_the_body_is_the_option_that_the_verb_names() -> None:
    for name, option in commands.BODY.items():
        verb = commands.verbs()[name]
        line = verb.explanation.examples[0].removeprefix("mlprod ").partition(" --reason")[0].partition(" --design")[0]
        names = {name.removeprefix("$"): object() for name in FILES}
        assert call(line, names=names, body="\n because \n").options[option] == "because"


def test_a_body_where_none_is_taken_is_refused_and_an_empty_one_is_none() -> None:
    with pytest.raises(UsageError, match="status takes nothing from the cell's body"):
        call("status", body="hello")
    assert call("status", body=" \n ").options == {}


def test_a_body_and_its_option_together_are_refused() -> None:
    with pytest.raises(UsageError, match="promote was given its reason twice"):
        call("promote flights/2 --reason a", body="b")


def test_a_body_is_never_expanded() -> None:
    assert call("promote flights/2", body="$clf {1/0}", names={"clf": 1}).options["reason"] == "$clf {1/0}"


def test_a_dash_reads_standard_input() -> None:
    assert call("promote flights/2 --reason -", read_input=lambda: "from a file\n").options["reason"] == "from a file"


def test_a_model_is_read_from_a_joblib_file(tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump({"coefficient": 2}, path)
    assert call(f"register flights --model {path} --data x.csv").options["model"] == {"coefficient": 2}
    path.write_bytes(b"no pickle")
    with pytest.raises(UsageError, match=r"model\.joblib cannot be loaded") as caught:
        call(f"register flights --model {path} --data x.csv")
    assert "\n" not in str(caught.value)
    with pytest.raises(NotFound, match="there is no model file"):
        call("register flights --model nowhere.joblib --data x.csv")


def test_feedback_columns_are_read_from_files(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.csv"
    file.write_text("prediction_id,late\na,1\nb,0\n")
    options = call(f"feedback flights --ids {file}:prediction_id --values {file}:late").options
    assert options["ids"] == ["a", "b"]
    assert options["values"] == [1, 0]
    with pytest.raises(UsageError, match="has 2 columns"):
        call(f"feedback flights --ids {file} --values {file}")
    with pytest.raises(NotFound, match="Did you mean 'late'"):
        call(f"feedback flights --ids {file}:prediction_id --values {file}:lat")


def test_the_caller_carries_the_line_and_the_way_to_ask() -> None:
    FakeWorkspace.callers.clear()
    door = commands.Door(command="%mlprod down", facade=FakeWorkspace, confirm=lambda question: True)
    commands.run(["down"], door)
    caller = FakeWorkspace.callers[-1]
    assert caller.command == "%mlprod down"
    assert caller.confirm("?") is True
    assert caller.actor


def test_a_job_with_a_wrong_line_is_refused_when_it_is_added() -> None:
    with pytest.raises(UsageError, match="the job's line is wrong: there is no verb 'reprot'"):
        commands.run(["schedule", "add", "0 6 * * 1", "reprot flights drift"], commands.Door(facade=FakeWorkspace))
    with pytest.raises(UsageError, match=r"begins with '%mlprod'\. Write it without: status"):
        commands.run(["schedule", "add", "0 6 * * 1", "%mlprod status"], commands.Door(facade=FakeWorkspace))


def test_completion_offers_verbs_options_and_variables() -> None:
    def texts(words: str, fragment: str) -> list[str]:
        return [s.text for s in commands.complete(words.split(), fragment, ["clf", "X"])]

    assert texts("", "de") == ["deploy"]
    assert texts("", "ab") == ["abtest"]
    assert texts("abtest", "") == ["plan", "start", "result", "calibrate", "allocate", "stop", "--help"]
    assert texts("deploy flights", "--r") == ["--reason"]
    assert "--reason" not in texts("deploy flights --reason x", "--")
    assert texts("register flights --model", "")[-2:] == ["$X", "$clf"]
    assert texts("register flights --model", "$c") == ["$clf"]
    assert texts("deploy flights --reason", "") == []
    assert texts("abtest plan flights", "--po") == ["--power"]
    assert texts("nonsense", "x") == []


def test_help_shows_itself_safely_as_a_page() -> None:
    shown = commands.Page("<script>")
    assert shown._repr_html_() == "<pre>&lt;script&gt;</pre>"
    assert str(shown) == "<script>"
    assert shown.exit_code == 0
