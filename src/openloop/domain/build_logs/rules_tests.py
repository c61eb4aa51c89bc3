"""How test runners write that a test failed."""

import re

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.rule import (
    CERTAIN,
    LIKELY,
    POSSIBLE,
    Below,
    rule,
    sign,
)

TEST, CRASH, TIMEOUT = FailureKind.TEST, FailureKind.CRASH, FailureKind.TIMEOUT

_EXCEPTION = r"(?:[\w.$]{0,200}(?:Error|Exception|Failure|Failed|Timeout|Exit|Interrupt|Warning)\b)"
_ANYTHING = re.compile(r"\s*\S")

PYTEST = (
    rule(
        "pytest",
        TEST,
        LIKELY,
        "= failures =",
        r"=+ FAILURES =+$",
        Below(
            cause=re.compile(rf"E   |(?:\S+:\d+: )?{_EXCEPTION}(?::|$)"),
            lines=3000,
            subject=re.compile(r"_+ (?!_ )(?P<subject>\S.*\S) _+$"),
            until=re.compile(r"=+ .+ =+$"),
        ),
    ),
    rule(
        "pytest",
        TEST,
        LIKELY,
        "= errors =",
        r"=+ ERRORS =+$",
        Below(
            cause=re.compile(rf"E   |(?:\S+:\d+: )?{_EXCEPTION}(?::|$)"),
            lines=3000,
            subject=re.compile(r"_+ ERROR (?:at \w+ of |collecting )(?P<subject>\S.*\S) _+$"),
            until=re.compile(r"=+ .+ =+$"),
        ),
    ),
    rule(
        "pytest",
        TEST,
        CERTAIN,
        "error while loading conftest",
        r"ImportError while loading conftest '(?P<subject>[^']{1,300})'",
        Below(cause=re.compile(r"E   "), lines=300),
    ),
    rule("pytest", CRASH, CERTAIN, "internalerror>", r"INTERNALERROR> (?=\w*(?:Error|Exception))"),
    rule(
        "pytest",
        FailureKind.CONFIGURATION,
        LIKELY,
        "error: ",
        r"ERROR: (?:file or directory not found|usage|not found|found no collectors|unknown|"
        r"Unknown|could not load|Missing required|\S+\.(?:ini|toml|cfg): )",
    ),
    rule("pytest", CRASH, CERTAIN, "fatal python error", r"Fatal Python error: "),
    rule("pytest", TEST, POSSIBLE, "failed ", r"(?:FAILED|ERROR) (?P<subject>\S+::\S+) - "),
    rule(
        "coverage",
        TEST,
        LIKELY,
        "fail",
        r"(?:ERROR: |FAIL )?(?:Required test coverage of|Coverage failure: total of)",
    ),
    sign("pytest", "failed ", r"(?:\[gw\d+\] \[ *\d+%\] )?FAILED (?P<failed>\S+::.+?)(?: - .*)?$"),
    sign("pytest", "error ", r"ERROR (?P<failed>\S+::.+?)(?: - .*)?$"),
    sign("pytest", "failed", r"=+ (?:\d+ \w+, )*\d+ failed\b"),
    sign("pytest", "error", r"=+ (?:\d+ \w+, )*\d+ errors?\b"),
)

PYTHON = (
    *(
        rule(
            "unittest",
            TEST,
            CERTAIN,
            key,
            r"(?:FAIL|ERROR): (?P<subject>\w+ \([\w.<>]+\))",
            Below(cause=re.compile(rf"{_EXCEPTION}(?::|$)|[a-z_]\w*(?:\.\w+)+(?::|$)"), lines=400),
        )
        for key in ("fail: ", "error: ")
    ),
    sign("unittest", "failed (", r"FAILED \((?:failures|errors|unexpected successes)="),
    rule(
        "python",
        CRASH,
        POSSIBLE,
        "traceback (most",
        r"\s*Traceback \(most recent call last\):",
        Below(
            cause=re.compile(rf"\s*(?!File ){_EXCEPTION}(?::|$)|[a-z_]\w*(?:\.\w+)+:"), lines=300
        ),
    ),
    rule("python", CRASH, LIKELY, "error: ", r"(?:Syntax|Indentation|Tab)Error: "),
)

_VITEST_CAUSE = re.compile(r"(?!\s*FAIL )\s*\S")

JAVASCRIPT = (
    rule(
        "jest",
        TEST,
        CERTAIN,
        "\u25cf ",
        r"\s*\u25cf (?!Console$|(?:Validation|Deprecation) Warning)(?P<subject>\S.*)",
        Below(cause=_ANYTHING, lines=8),
    ),
    rule(
        "vitest",
        TEST,
        CERTAIN,
        "fail  ",
        r"\s*FAIL {2,}(?P<subject>\S+ (?:> |\[ ).*)",
        Below(cause=_VITEST_CAUSE, lines=12),
    ),
    rule(
        "mocha",
        TEST,
        LIKELY,
        " failing",
        r"\s+\d+ failing$",
        Below(
            cause=re.compile(rf"\s+(?:Uncaught )?{_EXCEPTION}(?: \[\w+\])?(?::|$)"),
            lines=300,
            subject=re.compile(r"\s{1,8}\d+\) (?P<subject>\S.*)"),
        ),
    ),
    rule(
        "node:test",
        TEST,
        CERTAIN,
        "not ok ",
        r"\s*not ok \d+(?: -)? (?P<subject>(?!.*# (?:TODO|SKIP)).+)",
        Below(cause=re.compile(r"\s+error: (?!'?\"?\d+ subtests? failed)"), lines=25),
    ),
    rule(
        "node:test",
        TEST,
        LIKELY,
        "failing tests:",
        r"\s*\u2716 failing tests:$",
        Below(
            cause=re.compile(rf"\s+(?:\[?Error \[|{_EXCEPTION}(?: \[\w+\])?:)"),
            lines=300,
            subject=re.compile(r"\s*\u2716 (?P<subject>\S.*?) \([\d.]+ms\)$"),
        ),
    ),
    sign("jest", "fail ", r"\s*FAIL +\S+\.\w+(?: \([\d.]+ m?s\))?$"),
    sign("jest", " failed", r"\s*Tests: +\d+ failed"),
    sign("jest", " failed", r"\s*Test Suites: +\d+ failed"),
    sign("vitest", "failed", r"\s*(?:Test Files|Tests) +\d+ failed"),
    sign("mocha", " failing", r"\s+\d+ failing$"),
    sign("node:test", "# fail ", r"# fail [1-9]"),
    sign("node:test", "fail ", r"\u2139 fail [1-9]"),
)

JVM = (
    *(
        rule(
            "junit",
            TEST,
            CERTAIN,
            key,
            r"(?:\[ERROR\] +)?(?P<subject>\S+)(?: --)? +Time elapsed: .*<<< (?:FAILURE|ERROR)!",
            Below(cause=_ANYTHING, lines=3),
        )
        for key in ("<<< failure", "<<< error")
    ),
    rule("junit", TEST, POSSIBLE, "[error]   ", r"\[ERROR\] {3}(?P<subject>\w+\.\w+):\d+"),
    rule(
        "gradle",
        TEST,
        CERTAIN,
        " failed",
        r"(?=\w[^>]{1,300}+> )(?P<subject>\w.{2,500}) FAILED$",
        Below(cause=re.compile(r"\s+\S"), lines=3),
    ),
    rule(
        "junit",
        TEST,
        LIKELY,
        "error",
        rf"\s+=> {_EXCEPTION}",
    ),
    sign(
        "junit",
        "failures: ",
        r"(?:\[ERROR\] )?Tests run: \d+, (?:Failures: [1-9]|Failures: 0, Errors: [1-9])",
    ),
)

RULES = (*PYTEST, *PYTHON, *JAVASCRIPT, *JVM)
