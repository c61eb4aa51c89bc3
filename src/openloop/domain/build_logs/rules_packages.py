"""How installers of packages write that one is not there, or does not fit the others."""

from openloop.domain.build_logs.analysis import FailureKind
from openloop.domain.build_logs.rule import CERTAIN, LIKELY, PLACE, POSSIBLE, rule, sign

DEPENDENCY, NETWORK, PERMISSION, CONFIGURATION = (
    FailureKind.DEPENDENCY,
    FailureKind.NETWORK,
    FailureKind.PERMISSION,
    FailureKind.CONFIGURATION,
)

_NPM = r"(?:npm (?:ERR!|error)|(?:\u2009)?ERR_PNPM) "

RULES = (
    rule(
        "pip",
        DEPENDENCY,
        CERTAIN,
        "error: ",
        r"ERROR: (?:Could not find a version|Cannot install|No matching distribution|"
        r"THESE PACKAGES DO NOT MATCH|Could not open requirements|Invalid requirement|"
        r"Package '.*' requires a different Python|Ignored the following)",
    ),
    rule(
        "pip",
        DEPENDENCY,
        LIKELY,
        "error: ",
        r"ERROR: (?:ResolutionImpossible|Failed building wheel|Could not build wheels|"
        r"Failed to build)",
    ),
    rule(
        "uv",
        DEPENDENCY,
        CERTAIN,
        "no solution found",
        r"\s*\u00d7 No solution found when resolving",
    ),
    rule(
        "uv",
        DEPENDENCY,
        CERTAIN,
        "failed to",
        r"\s*\u00d7 Failed to (?:build|download|resolve|fetch|read)",
    ),
    rule(
        "uv",
        DEPENDENCY,
        LIKELY,
        "error: ",
        r"error: (?:[Ff]ailed to (?:fetch|prepare|download|build|resolve|parse|install)|"
        r"The lockfile at|Distribution|Request failed|Requirements)",
    ),
    rule("poetry", DEPENDENCY, LIKELY, "version solving failed", r".*version solving failed"),
    rule(
        "npm",
        DEPENDENCY,
        CERTAIN,
        "npm err",
        rf"{_NPM}code (?:ERESOLVE|E404|ETARGET|EINTEGRITY|EUSAGE|ENOTSUP|"
        r"EBADENGINE|EBADPLATFORM|ENOVERSIONS|EJSONPARSE|EOVERRIDE|EINVALIDPACKAGENAME)\b",
    ),
    rule(
        "npm",
        PERMISSION,
        CERTAIN,
        "npm err",
        rf"{_NPM}code (?:E401|E403|ENEEDAUTH|EACCES|EPERM|EOTP)\b",
    ),
    rule(
        "npm",
        NETWORK,
        CERTAIN,
        "npm err",
        rf"{_NPM}code (?:ECONN\w+|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|"
        r"ERR_SOCKET_TIMEOUT|E50\d|E429|CERT_\w+|UNABLE_TO_\w+|SELF_SIGNED\w*)\b",
    ),
    rule(
        "npm",
        DEPENDENCY,
        LIKELY,
        "npm err",
        r"npm (?:ERR!|error) (?:`npm ci`|[Mm]issing: .+ from lock file|Invalid: lock file)",
    ),
    rule(
        "npm",
        CONFIGURATION,
        CERTAIN,
        "npm err",
        r"npm (?:ERR!|error) (?:Missing script|missing script)",
    ),
    rule("npm", DEPENDENCY, POSSIBLE, "npm err", rf"{_NPM}code (?!ELIFECYCLE)\S"),
    rule("pnpm", DEPENDENCY, CERTAIN, "err_pnpm_", r".{0,3}ERR_PNPM_\w+"),
    rule(
        "yarn",
        DEPENDENCY,
        LIKELY,
        "error ",
        r"error (?:Couldn't find|An unexpected error|Your lockfile|.*: The engine)",
    ),
    rule("yarn", DEPENDENCY, LIKELY, " yn0", r"\u27a4 YN00(?:01|09|18|28|35|82): "),
    rule(
        "node",
        DEPENDENCY,
        LIKELY,
        "cannot find ",
        r"(?:Uncaught )?Error(?: \[\w+\])?: Cannot find (?:module|package) ",
    ),
    rule(
        "cargo",
        DEPENDENCY,
        CERTAIN,
        "error: ",
        r"error: (?:failed to select a version|no matching package|"
        r"failed to (?:get|load source|download|resolve|sync|fetch)|the lock file .* needs to be updated|checksum)",
    ),
    rule(
        "maven",
        DEPENDENCY,
        CERTAIN,
        "could not ",
        r"\[(?:ERROR|FATAL)\] .*Could not (?:resolve dependencies|find artifact|transfer artifact)",
    ),
    rule(
        "maven",
        DEPENDENCY,
        CERTAIN,
        "resolv",
        r"\[(?:ERROR|FATAL)\] .*(?:Non-resolvable|Unresolveable|could not be resolved)",
    ),
    rule(
        "gradle",
        DEPENDENCY,
        CERTAIN,
        "could not ",
        r"\s*> Could not (?:resolve|find|get|download) ",
    ),
    rule(
        "go",
        DEPENDENCY,
        CERTAIN,
        "go: ",
        r"go: (?!downloading|finding|added|upgraded|extracting|creating|found)",
    ),
    rule("go", DEPENDENCY, CERTAIN, "go: ", r".*missing go\.sum entry"),
    rule("go", DEPENDENCY, CERTAIN, PLACE, r".*no required module provides package"),
    rule("apt", DEPENDENCY, CERTAIN, "e: unable to", r"E: Unable to (?:locate|correct)"),
    rule("apt", DEPENDENCY, CERTAIN, "installation candidate", r"E: Package '.*' has no"),
    rule("apt", NETWORK, CERTAIN, "failed to fetch", r"E: Failed to fetch"),
    rule("apt", NETWORK, LIKELY, "e: unable to", r"E: Unable to fetch"),
    rule("bundler", DEPENDENCY, LIKELY, "could not find gem", r".*Could not find gem "),
    sign("npm", "npm err", r"npm (?:ERR!|error)"),
    sign("npm", "failed", r".*ELIFECYCLE"),
    sign("npm", "command failed", r"(?:error|Error:?) Command failed"),
    sign(
        "pip",
        "error: ",
        r"ERROR: (?:Could not find|Cannot install|No matching|ResolutionImpossible)",
    ),
    sign("uv", "no solution found", r"\s*\u00d7 No solution found"),
)
