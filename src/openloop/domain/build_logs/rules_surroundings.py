"""How networks, machines, runners and whatever else is around a build write what they could not do."""

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.rule import (
    CERTAIN,
    LIKELY,
    POSSIBLE,
    VAGUE,
    rule,
    sign,
)

NETWORK, PERMISSION, DOCKER, MEMORY, CONFIGURATION = (
    FailureKind.NETWORK,
    FailureKind.PERMISSION,
    FailureKind.DOCKER,
    FailureKind.OUT_OF_MEMORY,
    FailureKind.CONFIGURATION,
)

MACHINE = (
    rule("kernel", MEMORY, LIKELY, "killed", r"(?:.*: line \d+:\s+\d+ )?Killed\b"),
    rule("kernel", MEMORY, CERTAIN, "killed signal", r".*Killed signal terminated program"),
    rule("kernel", MEMORY, CERTAIN, "sigkill", r".*\(signal: 9, SIGKILL"),
    rule("kernel", MEMORY, LIKELY, "oomkilled", r".*OOMKilled"),
    rule("kernel", MEMORY, LIKELY, "out of memory", r".*[Oo]ut of memory"),
    rule("jvm", MEMORY, CERTAIN, "outofmemoryerror", r".*java\.lang\.OutOfMemoryError"),
    rule("node", MEMORY, CERTAIN, "heap out of memory", r".*JavaScript heap out of memory"),
    rule("python", MEMORY, LIKELY, "memoryerror", r"\s*MemoryError\b"),
    rule("runner", MEMORY, POSSIBLE, "shutdown signal", r".*runner has received a shutdown signal"),
    rule("disk", FailureKind.DISK_FULL, CERTAIN, "no space left", r".*No space left on device"),
    rule("disk", FailureKind.DISK_FULL, CERTAIN, "enospc", r".*ENOSPC"),
    rule(
        "runner",
        FailureKind.TIMEOUT,
        CERTAIN,
        "maximum execution time",
        r".*has exceeded the maximum execution time",
    ),
    rule(
        "runner",
        FailureKind.TIMEOUT,
        LIKELY,
        "has timed out",
        r"(?:The action|Error: The action) .*has timed out",
    ),
    rule(
        "runner",
        FailureKind.TIMEOUT,
        LIKELY,
        "operation was canceled",
        r"The operation was canceled",
    ),
    rule(
        "gitlab",
        FailureKind.TIMEOUT,
        CERTAIN,
        "error: job failed",
        r"ERROR: Job failed: execution took longer",
    ),
    rule("test", FailureKind.TIMEOUT, VAGUE, "timed out", r".*\b[Tt]imed out\b"),
)

_NETWORK_WORDS = (
    "could not resolve host",
    "temporary failure in name resolution",
    "temporary failure resolving",
    "connection refused",
    "connection timed out",
    "connection reset by peer",
    "network is unreachable",
    "no route to host",
    "tls handshake timeout",
    "certificate verify failed",
    "certificate_verify_failed",
    "ssl certificate problem",
    "certificate signed by unknown",
    "econnrefused",
    "econnreset",
    "etimedout",
    "no such host",
    "i/o timeout",
    "read timed out",
    "503 service unavailable",
    "502 bad gateway",
    "504 gateway time",
    "too many requests",
    "unexpected eof while reading",
)
_SPOKEN_BY = (
    r"(?:curl: \(\d+\)|wget: |ssh: |fatal: |error: |Error: |ERROR: |npm (?:ERR!|error)|E: |"
    r"\[ERROR\]|go: |warning: spurious|error\[|Err:\d)"
)

NETWORKS = (
    rule("curl", NETWORK, CERTAIN, "curl: (", r"curl: \(\d+\) "),
    *(rule("network", NETWORK, LIKELY, words, rf"\s*{_SPOKEN_BY}") for words in _NETWORK_WORDS),
    *(rule("network", NETWORK, VAGUE, words, r"") for words in _NETWORK_WORDS),
    rule("network", NETWORK, LIKELY, "enotfound", r".*ENOTFOUND\b"),
    rule("network", NETWORK, LIKELY, "eai_again", r".*EAI_AGAIN\b"),
)

RIGHTS = (
    rule(
        "runner",
        PERMISSION,
        CERTAIN,
        "required and not supplied",
        r".*Input required and not supplied",
    ),
    rule("github", PERMISSION, CERTAIN, "not accessible by", r".*Resource not accessible by "),
    rule("git", PERMISSION, CERTAIN, "could not read ", r".*could not read (?:Username|Password)"),
    rule("ssh", PERMISSION, CERTAIN, "permission denied (", r".*Permission denied \(publickey"),
    rule("aws", PERMISSION, CERTAIN, "locate credentials", r".*[Uu]nable to locate credentials"),
    rule("docker", PERMISSION, CERTAIN, "pull access denied", r".*pull access denied"),
    rule("docker", PERMISSION, CERTAIN, "credentials", r".*no basic auth credentials"),
    rule(
        "docker",
        PERMISSION,
        LIKELY,
        "denied: ",
        r".*denied: (?:requested access|permission|installation)",
    ),
    rule("http", PERMISSION, LIKELY, "bad credentials", r".*Bad credentials"),
    rule(
        "http",
        PERMISSION,
        LIKELY,
        "authentication failed",
        rf"\s*{_SPOKEN_BY}.*[Aa]uthentication failed",
    ),
    rule(
        "http",
        PERMISSION,
        POSSIBLE,
        "unauthorized",
        r".*(?:401 Unauthorized|: unauthorized|authentication required)",
    ),
    rule("http", PERMISSION, POSSIBLE, "forbidden", r".*403 Forbidden"),
    rule(
        "shell",
        PERMISSION,
        LIKELY,
        "permission denied",
        r"\S+: (?:line \d+: )?\S+: Permission denied$",
    ),
    rule("node", PERMISSION, LIKELY, "eacces", r".*EACCES: permission denied"),
    rule("shell", CONFIGURATION, LIKELY, "unbound variable", r".*: unbound variable$"),
    rule("shell", CONFIGURATION, LIKELY, "parameter not set", r".*parameter (?:null or )?not set$"),
)

DOCKERS = (
    rule("docker", DOCKER, CERTAIN, "dockerfile parse error", r".*dockerfile parse error"),
    rule("docker", DOCKER, CERTAIN, "copy failed", r"COPY failed: "),
    rule(
        "docker",
        DOCKER,
        CERTAIN,
        "failed to compute cache",
        r"ERROR: .*failed to compute cache key",
    ),
    rule(
        "docker", DOCKER, CERTAIN, "manifest ", r".*(?:manifest unknown|manifest for .* not found)"
    ),
    rule("docker", NETWORK, CERTAIN, "toomanyrequests", r".*toomanyrequests: "),
    rule(
        "docker",
        DOCKER,
        CERTAIN,
        "cannot connect to the docker",
        r".*Cannot connect to the Docker daemon",
    ),
    rule(
        "docker", DOCKER, CERTAIN, "error response from daemon", r".*Error response from daemon: "
    ),
    rule("docker", DOCKER, VAGUE, "error: ", r"ERROR: .*did not complete successfully"),
    rule(
        "docker",
        DOCKER,
        LIKELY,
        "failed to solve",
        r"(?:ERROR: )?failed to solve: (?!.*did not complete)",
    ),
    rule("docker", DOCKER, VAGUE, "non-zero code", r"The command '.*returned a non-zero code"),
    sign("docker", "failed to solve", r"(?:ERROR: )?failed to solve"),
    sign("docker", "non-zero code", r"The command '.*returned a non-zero code"),
)

GIT = (
    rule("git", FailureKind.GIT, CERTAIN, "conflict (", r"CONFLICT \("),
    rule("git", FailureKind.GIT, LIKELY - 2, "fatal: ", r"fatal: "),
    rule("git", FailureKind.GIT, LIKELY, "failed to push", r"error: failed to push some refs"),
    rule("git", FailureKind.GIT, LIKELY, "error: your local", r"error: Your local changes"),
    rule("git", FailureKind.GIT, LIKELY, "error: pathspec", r"error: pathspec"),
)

SHELL = (
    rule(
        "shell",
        CONFIGURATION,
        LIKELY,
        "command not found",
        r"\S+: (?:line \d+: )?\S+: command not found",
    ),
    rule("shell", CONFIGURATION, LIKELY, ": not found", r"\S+: (?:line )?\d+: \S+: not found$"),
    rule("shell", CONFIGURATION, LIKELY, "syntax error near", r".*syntax error near unexpected"),
    rule(
        "shell",
        CONFIGURATION,
        POSSIBLE,
        "no such file or directory",
        r"\S+: .*No such file or directory$",
    ),
    rule(
        "runner", CONFIGURATION, CERTAIN, "unable to resolve action", r".*Unable to resolve action"
    ),
)

ANY_PROGRAM = (
    rule(
        "node",
        FailureKind.CRASH,
        POSSIBLE,
        "error",
        r"(?:Uncaught )?(?:[A-Z]\w{0,60})?Error(?: \[\w+\])?: \S",
    ),
    rule("jvm", FailureKind.CRASH, POSSIBLE, "exception in thread", r"Exception in thread "),
    rule("program", FailureKind.OTHER, VAGUE, "error", r"\W{0,4}(?:error|ERROR|Error)(?:\b|:)"),
    rule("program", FailureKind.OTHER, VAGUE, "fatal", r"\W{0,4}(?:fatal|FATAL|Fatal)\b"),
    rule(
        "program",
        FailureKind.OTHER,
        VAGUE,
        "fail",
        r"\W{0,4}(?:FAIL|FAILED|Fail|Failed|Failure|FAILURE)\b",
    ),
    rule("program", FailureKind.OTHER, VAGUE, "exception", r"[\w.$]{1,200}Exception(?::|$)"),
)

ENDINGS = (
    sign("git", "fatal: ", r"fatal: "),
    sign("gitlab", "job failed", r"ERROR: Job failed"),
    sign("jenkins", "marked build as failure", r".*marked build as failure"),
    sign("jenkins", "finished: failure", r"Finished: FAILURE"),
    sign("shell", "exit", r".*\b[Ee]xit(?:ed)?(?: with)?(?: (?:status|code))*:? \(?[1-9]\d{0,2}\b"),
    sign("shell", "error 1", r".*\bexited with error 1\b"),
)

RULES = (
    *MACHINE,
    *RIGHTS,
    *DOCKERS,
    *NETWORKS,
    *GIT,
    *SHELL,
    *ENDINGS,
)
