"""Of a build log the first line that says why it failed is found, and of a green one nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from openloop.domain.build_logs.analyser import analyse
from openloop.domain.build_logs.analysis import MOST_BYTES, FailureKind
from openloop.domain.build_logs.lines import clean
from openloop.domain.build_logs.relating import named_files
from openloop.domain.build_logs.showing import cut
from openloop.domain.redaction import Redactor
from tests.corpus.build_logs.loading import cases, causes, load, recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from openloop.domain.build_logs.analysis import Analysis, Excerpt
    from tests.corpus.build_logs.loading import Recipe

RED = [recipe for recipe in cases("develop").case if recipe.cause and not recipe.cut]
STAMP = "2026-11-20T10:11:12.1234567Z "


def of(*lines: str) -> Analysis:
    return analyse(["".join(f"{line}\n" for line in lines).encode()])


def step(run: str, *lines: str, exit_code: int | None = None) -> list[str]:
    """A step as GitHub's runner writes it; without an exit code it went well."""
    header = (f"##[group]Run {run}", run, "shell: /usr/bin/bash -e {0}", "##[endgroup]")
    end = () if exit_code is None else (f"##[error]Process completed with exit code {exit_code}.",)
    return [STAMP + line for line in (*header, *lines, *end)]


def cause_of(analysis: Analysis) -> Excerpt:
    assert analysis.cause is not None
    return analysis.cause


# --- what real tools print -----------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RED, ids=lambda recipe: recipe.name)
def test_the_causal_line_of_a_recorded_failure_is_in_the_first_excerpt(recipe: Recipe) -> None:
    lines = step("the tool", *recorded("develop", recipe.log), exit_code=max(recipe.exit, 1))
    marked = {index + 5 for index in causes("develop", recipe)}

    assert marked & {line.number for line in cause_of(of(*lines)).lines}


@pytest.mark.parametrize("name", ["py_rounding", "go_compile", "cut_python", "green_web"])
def test_so_it_is_where_it_is_buried(name: str) -> None:
    [log] = load("develop", [name])
    analysis = analyse([log.text.encode()])

    assert analysis.line_count == log.size
    if not log.expected:
        assert analysis.excerpts == ()
        return
    assert cause_of(analysis).cause in log.expected


# --- which step, and whether it failed -----------------------------------------------------------


def test_what_a_step_printed_that_went_well_is_no_cause() -> None:
    lines = [
        *step("make lint", "src/old.c:3:1: error: expected ';'"),
        *step("make", "src/ledger.c:5:28: error: 'MAX' undeclared", exit_code=2),
        *step("./report.sh", "fatal: the report is empty"),
    ]
    cause = cause_of(of(*lines))

    assert (cause.causal_text, cause.step) == ("src/ledger.c:5:28: error: 'MAX' undeclared", "make")
    assert (cause.kind, cause.subject) == (FailureKind.COMPILE, "src/ledger.c:5:28")


def test_the_text_of_a_command_is_not_what_it_printed() -> None:
    run = ("##[group]Run cat > a.c", "src/a.c:1:1: error: so they look", "shell: /usr/bin/bash")
    value = ("env:", "src/b.c:1:1: error: a value of several lines", "##[endgroup]")
    lines = [*run, *value, "fatal: repository not found", "##[error]Process completed with"]

    assert cause_of(of(*lines)).causal_text == "fatal: repository not found"


def test_a_group_that_a_program_prints_is_no_step() -> None:
    lines = step(
        "./ci.sh",
        "##[group]Run the tests",
        "src/ledger.c:5:28: error: 'MAX' undeclared",
        "##[endgroup]",
        exit_code=2,
    )

    assert cause_of(of(*lines)).cause == 6


def test_an_exit_is_no_cause_unless_it_says_that_something_was_killed() -> None:
    assert of(*step("./build.sh", "building", exit_code=1)).excerpts == ()
    killed = cause_of(of(*step("./build.sh", "building", exit_code=137)))
    assert killed.kind is FailureKind.OUT_OF_MEMORY


def test_what_the_runner_itself_says_is_a_cause() -> None:
    said = "##[error]Input required and not supplied: token"
    cause = cause_of(of(*step("actions/checkout@v4"), STAMP + said))

    assert (cause.kind, cause.causal_text) == (FailureKind.PERMISSION, said)


@pytest.mark.parametrize(
    ("said", "exit_code", "kind"),
    [
        ("ERROR: No matching distribution found for pluggy==99", 1, FailureKind.DEPENDENCY),
        ("npm error code ECONNRESET", 1, FailureKind.NETWORK),
        ("curl: (6) Could not resolve host: mirror.acme.example", 6, FailureKind.NETWORK),
        ("./deploy.sh: line 3: 2874 Killed   node build.js", 137, FailureKind.OUT_OF_MEMORY),
        ("java.lang.OutOfMemoryError: Java heap space", 1, FailureKind.OUT_OF_MEMORY),
        ("cp: error writing 'a.tar': No space left on device", 1, FailureKind.DISK_FULL),
        ("git@acme.example: Permission denied (publickey).", 128, FailureKind.PERMISSION),
        ("./deploy.sh: line 3: DEPLOY_TOKEN: unbound variable", 1, FailureKind.CONFIGURATION),
        ("./ci.sh: line 9: poetry: command not found", 127, FailureKind.CONFIGURATION),
        ("Error response from daemon: manifest for acme/web:9 not found", 1, FailureKind.DOCKER),
        ("E: Unable to locate package libfoo-dev", 100, FailureKind.DEPENDENCY),
        ("acme/a.py:3: error: Incompatible return value  [return-value]", 1, FailureKind.LINT),
        ("panic: test timed out after 10m0s", 2, FailureKind.TIMEOUT),
    ],
)
def test_the_kind_of_a_failure_is_told(said: str, exit_code: int, kind: FailureKind) -> None:
    cause = cause_of(of(*step("./ci.sh", "ordinary", said, "ordinary", exit_code=exit_code)))

    assert (cause.causal_text, cause.kind) == (said, kind)


# --- what only looks like a cause ----------------------------------------------------------------


def test_what_a_passing_test_says_is_no_cause() -> None:
    lines = step(
        "go test -v ./...",
        "=== RUN   TestRefuses",
        "    refuse_test.go:9: error: expected, and refused",
        "--- PASS: TestRefuses (0.00s)",
        "=== RUN   TestPrice",
        "    price_test.go:17: Price(1500) = 250, want 500",
        "--- FAIL: TestPrice (0.00s)",
        "FAIL",
        exit_code=1,
    )
    cause = cause_of(of(*lines))

    assert "price_test.go:17" in cause.causal_text
    assert cause.subject == "TestPrice"


def test_an_expected_panic_is_no_cause() -> None:
    lines = step(
        "cargo test -- --nocapture",
        "thread 'tests::refuses' panicked at src/lib.rs:7:9:",
        "test tests::refuses - should panic ... ok",
        "thread 'tests::adds' panicked at src/lib.rs:12:9:",
        "assertion `left == right` failed",
        "test tests::adds ... FAILED",
        "test result: FAILED. 1 passed; 1 failed",
        exit_code=101,
    )

    assert cause_of(of(*lines)).subject == "tests::adds"


def test_what_a_passing_test_says_is_no_cause_either_where_there_is_nothing_else() -> None:
    lines = step(
        "cargo test -- --nocapture",
        "thread 'tests::refuses' panicked at src/lib.rs:7:9:",
        "test tests::refuses - should panic ... ok",
        "test tests::adds ... FAILED",
        exit_code=101,
    )

    assert of(*lines).excerpts == ()


def test_a_traceback_belongs_to_the_test_that_it_stands_below() -> None:
    lines = step(
        "python -m unittest",
        "======================================================================",
        "FAIL: test_rounds (tests.test_vat.VatTest)",
        "----------------------------------------------------------------------",
        "Traceback (most recent call last):",
        '  File "/repo/tests/test_vat.py", line 9, in test_rounds',
        "    self.assertEqual(total, 268)",
        "AssertionError: 267 != 268",
        "FAILED (failures=1)",
        exit_code=1,
    )
    cause = cause_of(of(*lines))

    assert (cause.causal_text, cause.kind) == ("AssertionError: 267 != 268", FailureKind.TEST)
    assert cause.subject == "test_rounds (tests.test_vat.VatTest)"


def test_the_first_of_several_errors_is_the_cause_and_summaries_are_none() -> None:
    lines = step(
        "make -k",
        "a.c:1:1: warning: unused",
        "b.c:2:2: error: first",
        "make: *** [b.o] Error 1",
        "c.c:3:3: error: second",
        "make: *** [c.o] Error 1",
        exit_code=2,
    )
    cause = cause_of(of(*lines))

    assert cause.causal_text == "b.c:2:2: error: first"
    assert all("***" not in each.causal_text for each in of(*lines).excerpts)


def test_the_lines_of_programs_that_run_together_are_told_apart() -> None:
    lines = step(
        "docker compose up",
        "web-1  | FAIL  src/cart.test.js > cart > adds",
        "db-1   | LOG: ready",
        "db-1   | ERROR: relation 'x' does not exist",
        "web-1  | AssertionError: expected 3 to be 4",
        "db-1   | LOG: still here",
        exit_code=1,
    )
    cause = cause_of(of(*lines))

    assert cause.causal_text == "web-1  | AssertionError: expected 3 to be 4"
    assert not any(line.text.startswith("db-1") for line in cause.lines)


# --- logs of one program -------------------------------------------------------------------------


def test_a_log_without_steps_needs_a_sign_that_it_failed() -> None:
    error = "src/ledger.c:5:28: error: 'MAX' undeclared"
    ordinary = ["ok"] * 200

    assert of(*ordinary, error, "make: *** [ledger.o] Error 1", *ordinary).cause is not None
    assert of(*ordinary, error).cause is not None  # nothing follows: it ended there
    assert of(*ordinary, error, *ordinary).cause is None
    assert of(*ordinary, error, "make: *** [ledger.o] Error 1", "Job succeeded").cause is None


def test_what_follows_the_last_sign_of_failure_is_no_cause() -> None:
    ordinary = ["ok"] * 200
    lines = ["fatal: gone", *ordinary, "src/z.c:1:1: error: said by something else", *ordinary]

    assert cause_of(of(*lines)).causal_text == "fatal: gone"


@pytest.mark.parametrize("text", [b"", b"\n", b"\xef\xbb\xbf", b"all is well\n" * 10])
def test_nothing_is_found_in_nothing(text: bytes) -> None:
    assert analyse([text]).excerpts == ()


def test_it_does_not_matter_how_a_log_is_cut_into_pieces() -> None:
    text = "".join(
        f"{line}\n" for line in step("pytest", *recorded("develop", "py_cascade"), exit_code=1)
    ).encode()
    whole = analyse([text])

    for size in (1, 7, 100, 4096):
        assert analyse(text[at : at + size] for at in range(0, len(text), size)) == whole


# --- what is shown -------------------------------------------------------------------------------


def test_excerpts_stay_small_however_much_failed() -> None:
    lines = [line for n in range(500) for line in (f"src/f{n}.c:1:1: error: x", "y" * 290)]
    analysis = of(*step("make -k", *lines, exit_code=2))

    assert sum(len(each.text.encode()) for each in analysis.excerpts) <= MOST_BYTES
    assert cause_of(analysis).causal_text == "src/f0.c:1:1: error: x"


def test_an_excerpt_ends_with_its_step() -> None:
    lines = [
        *step("one", "all well"),
        *step("two", "fatal: gone", exit_code=1),
        *step("three", "all well again"),
    ]

    text = cause_of(of(*lines)).text

    assert "again" not in text
    assert ">10 fatal: gone" in text


def test_secrets_are_not_shown_and_none_is_cut_in_two() -> None:
    known, token = "s3cret-value-of-ours", f"ghp_{'Ab1' * 12}"
    key = ["-----BEGIN OPENSSH PRIVATE KEY-----", "b3Blb" * 14, "-----END OPENSSH PRIVATE KEY-----"]
    said = f"fatal: {token} {known} " + "x " * 136 + known
    lines = step("deploy", *key, said, *key, exit_code=1)
    shown = analyse(["\n".join([*lines, ""]).encode()], Redactor([known])).excerpts[0].text

    assert token[:8] not in shown
    assert known[:6] not in shown
    assert "b3Blb" not in shown


def test_a_long_line_ends_with_a_whole_word() -> None:
    assert cut("word " * 58 + "s3cret" * 20).endswith("word ...")
    assert cut("s3cret" * 100) == "[600 characters without a space]"


def test_colours_and_what_nobody_sees_are_taken_off() -> None:
    raw = f"{STAMP}\x1b[31mError\x1b[0m: \u202egone\u200b \x1b]8;;http://x\x07here\x1b]8;;\x07"

    assert clean(raw.encode()).text == "Error: gone here"
    assert clean(b"10%\r20%\rdone").text == "done"


# --- what it has to do with the change -----------------------------------------------------------


def named(log_lines: Sequence[str], changed: Sequence[str]) -> list[str]:
    analysis = of(*step("make", *log_lines, exit_code=2))
    return [*named_files(analysis.excerpts, changed)]


def test_changed_files_that_a_log_names_are_found() -> None:
    changed = ["src/ledger.c", "src/other.c", "docs/ledger.md"]

    assert named(["src/ledger.c:5:28: error: x"], changed) == ["src/ledger.c"]
    assert named(["/home/runner/work/a/a/src/ledger.c:5:28: error: x"], changed) == ["src/ledger.c"]
    assert named(["ledger.c:5:28: error: x"], changed) == []  # any ledger.c may be meant
    assert named(["src/nothing.c:5:28: error: x"], changed) == []
