"""How compilers, linters and build tools write what they do not accept."""

import re

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.rule import CERTAIN, LIKELY, PLACE, POSSIBLE, Below, rule, sign

COMPILE, LINT, CONFIGURATION = (
    FailureKind.COMPILE,
    FailureKind.LINT,
    FailureKind.CONFIGURATION,
)

_PLACE = r"(?P<subject>(?:[A-Za-z]:)?[^\s:()]{1,300}+:\d++(?::\d++)?+)"
_AT = re.compile(r"\s+--> (?P<subject>[^\s:]{1,300}:\d+:\d+)")

PLACED = (
    rule("mypy", LINT, CERTAIN, PLACE, r"(?P<subject>[^\s:]{1,300}\.pyi?:\d+(?::\d+)?): error: "),
    rule("pyright", LINT, CERTAIN, " - error: ", rf"\s*{_PLACE} - error: "),
    rule("tsc", COMPILE, CERTAIN, "error ts", rf"\s*{_PLACE} - error TS\d+: "),
    rule(
        "compiler", COMPILE, CERTAIN, "error: ", rf"{_PLACE}: (?:fatal |internal compiler )?error: "
    ),
    rule(
        "compiler",
        COMPILE,
        CERTAIN,
        "error ",
        r"(?P<subject>[^\s()]{1,300}+\(\d+(?:,\d+)?\)) ?: (?:fatal )?error [A-Z]{1,6}\d+\b",
    ),
    rule("tsc", COMPILE, LIKELY, "error ts", r"error TS\d+: "),
    rule("kotlin", COMPILE, CERTAIN, "e: file:", r"e: (?P<subject>file:/\S{1,300}?:\d+:\d+)\b"),
    rule("go", COMPILE, CERTAIN, PLACE, r"(?:vet: )?(?P<subject>[^\s:]{1,300}\.go:\d+:\d+): "),
    rule("go", COMPILE, LIKELY, PLACE, r"(?P<subject>[^\s:]{1,300}\.go:\d+:\d+):$"),
    rule(
        "maven",
        COMPILE,
        CERTAIN,
        "[error] ",
        r"\[ERROR\] (?P<subject>\S{1,300}\.(?:java|kt|scala|groovy):\[\d+,\d+\]) ",
    ),
    rule(
        "rustc",
        COMPILE,
        CERTAIN,
        "error[",
        r"error\[E\d{4}\]: ",
        Below(cause=_AT, lines=4),
    ),
)

LINTERS = (
    rule(
        "ruff",
        LINT,
        CERTAIN,
        PLACE,
        r"(?P<subject>[^\s:]{1,300}\.pyi?:\d+:\d+): (?:\w+-)?[A-Z]+\d{1,4}\b",
    ),
    rule("ruff", LINT, CERTAIN, PLACE, r"\s*--> (?P<subject>[^\s:]{1,300}\.pyi?:\d+:\d+)$"),
    rule(
        "black", LINT, CERTAIN, "would reformat", r"(?:W|w)ould reformat:? (?P<subject>\S+\.\w+)$"
    ),
    rule("eslint", LINT, CERTAIN, " error ", r"\s+\d+:\d+ +error +\S"),
    rule("prettier", LINT, LIKELY, "[warn] ", r"\[warn\] (?P<subject>\S+\.\w+)$"),
    rule(
        "rustfmt",
        LINT,
        CERTAIN,
        "diff in ",
        r"Diff in (?P<subject>\S+?)(?: at line \d+)?:?(?:\d+:)?$",
    ),
    rule("shellcheck", LINT, CERTAIN, "-- sc", r"\s*\^-+\^? SC\d{4} \("),
    rule("hadolint", LINT, LIKELY, " error", r"(?P<subject>[^\s:]{1,300}:\d+) DL\d{4} error"),
    rule(
        "checkstyle",
        LINT,
        CERTAIN,
        "[error] ",
        r"\[ERROR\] (?P<subject>\S{1,300}:\[?\d+(?:,\d+)?\]?:?) ?(?:\(|error: |.*\[\w+\]$)",
    ),
    rule("pre-commit", LINT, POSSIBLE, ".failed", r"(?P<subject>\w.*?)\.{3,}Failed$"),
    sign("ruff", " error", r"Found \d+ errors?\b"),
    sign("eslint", " error", r"\u2716 \d+ problems? \([1-9]"),
    sign("black", "would be reformatted", r"\d+ files? would be reformatted"),
    sign("prettier", "[warn] ", r".*Code style issues"),
)

LINKING = (
    rule("ld", COMPILE, CERTAIN, "undefined reference to", r".*undefined reference to "),
    rule("ld", COMPILE, CERTAIN, "cannot find -l", r".*: cannot find -l"),
    rule("ld", COMPILE, CERTAIN, "multiple definition of", r".*multiple definition of "),
    rule(
        "ld",
        COMPILE,
        CERTAIN,
        "undefined symbol",
        r"(?:ld|lld|rust-lld|ld\.lld)?:? ?(?:error: )?[Uu]ndefined symbols?\b",
    ),
    rule(
        "ld",
        FailureKind.DEPENDENCY,
        LIKELY,
        "cannot open shared object",
        r".*cannot open shared object file",
    ),
    sign("ld", "collect2: error", r"collect2: error: "),
    sign("ld", "linker command failed", r".*linker command failed"),
)

TOOLS = (
    rule(
        "cmake",
        CONFIGURATION,
        CERTAIN,
        "cmake error",
        r"CMake Error at (?P<subject>[^\s:]{1,300}:\d+)",
    ),
    rule("cmake", CONFIGURATION, LIKELY, "cmake error", r"CMake Error: "),
    rule(
        "make",
        CONFIGURATION,
        LIKELY,
        "no rule to make",
        r"make(?:\[\d+\])?: \*\*\* No rule to make target",
    ),
    rule("make", CONFIGURATION, LIKELY, "*** ", r"(?P<subject>[^\s:]{1,300}:\d+): \*\*\* "),
    rule(
        "make",
        CONFIGURATION,
        LIKELY,
        "make: ",
        r"make(?:\[\d+\])?: \S+: (?:No such file|Command not found|Permission)",
    ),
    rule(
        "cargo",
        COMPILE,
        LIKELY,
        "error: failed to run custom build",
        r"error: failed to run custom build command for `(?P<subject>[^`]{1,200})",
    ),
    rule(
        "cargo",
        CONFIGURATION,
        LIKELY,
        "error: failed to parse",
        r"error: failed to parse (?:manifest|lock file)",
    ),
    rule(
        "rustc",
        COMPILE,
        POSSIBLE,
        "error: ",
        r"error: (?!could not compile|aborting due|test failed|build failed|process didn't|could not"
        r" document|failed to |no matching|subprocess-|externally|resolution|[Pp]roject|unused manifest)",
        Below(cause=_AT, lines=4),
    ),
    rule("webpack", COMPILE, LIKELY, "error in ", r"ERROR in (?P<subject>\S+)"),
    rule(
        "webpack",
        COMPILE,
        LIKELY,
        "module not found",
        r"Module not found: (?:Error: )?Can't resolve",
    ),
    rule("esbuild", COMPILE, LIKELY, "[error] ", r"\s*\u2718 \[ERROR\] "),
    rule(
        "vite",
        COMPILE,
        LIKELY,
        "error during build",
        r"error during build:",
        Below(cause=re.compile(r"\S"), lines=3),
    ),
    rule("next", COMPILE, LIKELY, "type error: ", r"Type error: "),
    rule(
        "gradle",
        FailureKind.OTHER,
        POSSIBLE,
        "what went wrong:",
        r"\* What went wrong:",
        Below(cause=re.compile(r"\S"), lines=3),
    ),
    rule("maven", CONFIGURATION, LIKELY, "[error] ", r"\[ERROR\] +'[\w.]+'.* is missing"),
    rule(
        "maven",
        LINT,
        LIKELY,
        "failed to execute goal",
        r"\[ERROR\] Failed to execute goal .*Checkstyle violation",
    ),
    rule(
        "maven",
        FailureKind.OTHER,
        POSSIBLE,
        "failed to execute goal",
        r"\[ERROR\] Failed to execute goal ",
    ),
    rule("bazel", COMPILE, POSSIBLE, "error: /", r"ERROR: (?P<subject>/[^\s:]{1,300}:\d+:\d+): "),
    rule(
        "sbt",
        COMPILE,
        CERTAIN,
        "[error] ",
        r"\[error\] (?P<subject>[^\s:]{1,300}\.scala:\d+:\d+): ",
    ),
    rule("terraform", CONFIGURATION, LIKELY, "error: ", r"\W{1,3}Error: \S"),
    sign("make", "*** ", r"(?:g?make|mingw32-make)(?:\[\d+\])?: \*\*\* (?!.*\(ignored\))"),
    sign("ninja", "build stopped", r"ninja: build stopped: "),
    sign("cargo", "could not compile", r"error: could not compile "),
    sign("maven", "build failure", r"\[(?:INFO|ERROR)\] BUILD FAILURE"),
    sign("maven", "failed to execute goal", r"\[ERROR\] Failed to execute goal "),
    sign("gradle", "build failed", r"(?:FAILURE: Build failed|BUILD FAILED)"),
    sign("gradle", " failed", r"> Task \S+ FAILED"),
)

RULES = (*PLACED, *LINTERS, *LINKING, *TOOLS)
