"""How the test runners of Go, Rust, C, C++ and a few more write that a test failed."""

import re
from dataclasses import replace

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.rule import (
    CERTAIN,
    LIKELY,
    PLACE,
    POSSIBLE,
    Below,
    rule,
    sign,
)

TEST, CRASH, TIMEOUT = FailureKind.TEST, FailureKind.CRASH, FailureKind.TIMEOUT

_ANYTHING = re.compile(r"\s*\S")

GO = (
    rule(
        "go",
        TEST,
        CERTAIN,
        "--- fail: ",
        r"\s*--- FAIL: (?P<subject>\S+)",
        Below(
            cause=re.compile(r"\s+\S+\.go:\d+: "),
            lines=60,
            until=re.compile(r"\s*---|===|FAIL|ok\b|PASS"),
        ),
    ),
    replace(rule("go", TEST, POSSIBLE, PLACE, r"\s+\S+_test\.go:\d+: "), is_said=True),
    rule("go", TIMEOUT, CERTAIN, "test timed out", r"panic: test timed out after"),
    rule("go", CRASH, CERTAIN, "data race", r"WARNING: DATA RACE"),
    rule("go", CRASH, CERTAIN, "panic: ", r"panic: (?!test timed out|.*\[recovered\])"),
    rule(
        "go",
        CRASH,
        CERTAIN,
        "fatal error: ",
        r"fatal error: (?:all goroutines|concurrent map|unexpected signal)",
    ),
    sign("go", "--- fail: ", r"\s*--- FAIL: (?P<failed>\S+)"),
    sign("go", "fail", r"FAIL(?:\t\S+|$)"),
)

NATIVE = (
    rule(
        "cargo",
        TEST,
        CERTAIN,
        " stdout ----",
        r"---- (?P<subject>\S+) (?:- .{1,40} )?stdout ----",
        Below(
            cause=re.compile(
                r"thread '.*' (?:\(\d+\) )?panicked at|Error: |note: test did not panic"
            ),
            lines=2000,
            until=re.compile(r"failures:$"),
        ),
    ),
    replace(
        rule(
            "cargo",
            CRASH,
            POSSIBLE,
            "panicked at",
            r"thread '(?P<subject>[^']{1,200})' (?:\(\d+\) )?panicked at",
        ),
        is_said=True,
    ),
    sign("cargo", "... failed", r"test (?P<failed>\S+) (?:- should panic )?\.\.\. FAILED"),
    sign("cargo", "test result: failed", r"test result: FAILED"),
    sign("cargo", "test failed", r"error: test failed, to rerun"),
    rule("gtest", TEST, CERTAIN, ": failure", r"(?P<subject>[^\s:]{1,300}:\d+): Failure$"),
    rule("catch2", TEST, CERTAIN, ": failed:", r"(?P<subject>[^\s:]{1,300}:\d+): FAILED:"),
    rule(
        "c",
        TEST,
        CERTAIN,
        "assertion",
        r"(?:\S+: )?(?P<subject>[^\s:]{1,300}:\d+): .*Assertion [`']",
    ),
    rule("c", CRASH, CERTAIN, "error: ", r"(?:==\d+==)?ERROR: \w+Sanitizer: "),
    rule(
        "c",
        CRASH,
        LIKELY,
        ": runtime error: ",
        r"(?P<subject>[^\s:]{1,300}:\d+:\d+): runtime error: ",
    ),
    rule("c", CRASH, LIKELY, "segmentation fault", r".*Segmentation fault"),
    *(
        rule("ctest", TEST, POSSIBLE, key, r"\s*\d+/\d+ Test +#\d+: (?P<subject>\S+) \.*+ *\*\*\*")
        for key in ("***failed", "***exception", "***timeout")
    ),
    sign("gtest", "failed  ]", r"\[  FAILED  \] \d+ tests?"),
    sign(
        "ctest",
        "tests failed",
        r"The following tests FAILED:|\d+% tests passed, [1-9]\d* tests failed",
    ),
)

OTHER = (
    rule("rspec", TEST, CERTAIN, "failure/error:", r"\s+Failure/Error: "),
    sign(
        "rspec",
        " failure",
        r"\d+ examples?, (?:[1-9]\d* failures?|0 failures, [1-9]\d* errors? occ)",
    ),
    rule(
        "ruby",
        CRASH,
        LIKELY,
        PLACE,
        r"(?P<subject>[^\s:]{1,300}\.rb:\d+):in [`'].*\([A-Z][\w:]*\)$",
    ),
    rule(
        "dotnet",
        TEST,
        CERTAIN,
        "error message:",
        r"\s*Error Message:$",
        Below(cause=_ANYTHING, lines=3),
    ),
    sign("dotnet", "failed!", r"Failed! +- Failed: +[1-9]"),
    rule(
        "playwright",
        TEST,
        CERTAIN,
        PLACE,
        r"\s+\d+\) (?P<subject>(?:\[\w+\] \S )?\S+\.(?:spec|test)\.\w+:\d+:\d+ .+)",
        Below(cause=re.compile(r"\s+\S"), lines=4),
    ),
    rule("test", TIMEOUT, LIKELY, "timeout", r"E? *Failed: Timeout [>(]"),
)

RULES = (*GO, *NATIVE, *OTHER)
