"""Logs of GitHub Actions: fetched from where we may, without our token, and never too much."""

from __future__ import annotations

import asyncio
import io
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from openloop.integrations.github import archives, logs
from openloop.integrations.github.archives import ArchivedLog, unpack
from openloop.integrations.github.client import GitHubClient
from openloop.integrations.github.credentials import PersonalToken
from openloop.integrations.github.errors import NotFound, Refused, Unavailable
from openloop.integrations.github.investigation_logs import pieces
from openloop.integrations.github.logs import LogKeeper
from openloop.integrations.github.names import RepoName
from openloop.testing.rigs.github import ActionsStep, GitHubRig, JobPlan, Raw, Redirect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from openloop.testing.rigs.github.rows import ActionsRun

TOKEN = "ghp_logs_0123456789"
REPO = RepoName("acme", "platform")
JOB_LOG = "GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs"
LOG = b"\xef\xbb\xbf2026-11-20T12:00:00Z one\r\n2026-11-20T12:00:01Z Error: two\n"


@pytest.fixture
async def rig() -> AsyncIterator[GitHubRig]:
    async with GitHubRig(token=TOKEN) as rig:
        rig.state.add_repository("acme/platform")
        yield rig


@pytest.fixture
async def client(rig: GitHubRig) -> AsyncIterator[GitHubClient]:
    hosts = (rig.log_host.host,)
    async with GitHubClient(rig.api_url, PersonalToken(TOKEN), log_hosts=hosts) as client:
        yield client


def run(rig: GitHubRig, *jobs: JobPlan) -> ActionsRun:
    repository, anna = rig.state.repositories["acme/platform"], rig.state.add_user("anna")
    commit = rig.state.commits.add(repository, "Change", by=anna, files={"a.py": "a\n"})
    return rig.state.ci.run(repository, commit.sha, jobs=jobs, by=anna)


async def test_a_log_comes_from_the_other_host_and_our_token_stays_here(
    rig: GitHubRig, client: GitHubClient
) -> None:
    job = run(rig, JobPlan(name="test", conclusion="failure", log=LOG)).jobs[0]

    log = await client.job_log(REPO, job.id)

    assert log.beginning == LOG
    assert (log.is_whole, log.total_bytes) == (True, len(LOG))
    (download,) = rig.log_host.downloads
    assert "authorization" not in download.headers
    assert TOKEN not in repr(download)


async def test_the_jobs_of_a_run_that_failed_are_found(
    rig: GitHubRig, client: GitHubClient
) -> None:
    steps = (ActionsStep(name="Build"), ActionsStep(name="Test", conclusion="failure"))
    plans = [
        JobPlan(name="lint"),
        JobPlan(name="test", conclusion="failure", steps=steps),
        JobPlan(name="slow", conclusion="timed_out"),
        JobPlan(name="stopped", conclusion="cancelled"),
    ]
    made = run(rig, *plans)

    jobs = await client.failed_jobs(REPO, made.id)
    assert [job.name for job in jobs] == ["test", "slow"]
    assert [step.name for step in jobs[0].failed_steps] == ["Test"]

    repository = rig.state.repositories["acme/platform"]
    rig.state.ci.rerun(repository, made, jobs=[JobPlan(name="test"), JobPlan(name="slow")])
    assert await client.failed_jobs(REPO, made.id) == ()
    assert [job.attempt for job in await client.failed_jobs(REPO, made.id, only="all")] == [1, 1]


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://evil.example/log",
        "https://blob.core.windows.net/log",
        "https://evilblob.core.windows.net.evil.example/log",
        "http://a.blob.core.windows.net/log",
        "https://a.blob.core.windows.net:8443/log",
        "http://a.blob.core.windows.net:443/log",
        "https://anna:secret@a.blob.core.windows.net/log",
        "ftp://a.blob.core.windows.net/log",
        "https://a.blob.core.windows.net@evil.example/log",
        "//evil.example/log",
        "/log",
        "https://[::1/log",
        "http://127.0.0.1:1/log",
    ],
)
async def test_an_address_elsewhere_is_not_asked(rig: GitHubRig, address: str) -> None:
    job = run(rig, JobPlan(name="test", log=LOG)).jobs[0]
    rig.faults.fail(JOB_LOG, with_=Redirect(location=address, status=302))
    async with GitHubClient(rig.api_url, PersonalToken(TOKEN)) as client:
        with pytest.raises(Refused, match="log"):
            await client.job_log(REPO, job.id)
    assert rig.log_host.downloads == []


async def test_the_address_is_followed_once(rig: GitHubRig, client: GitHubClient) -> None:
    job = run(rig, JobPlan(name="test", log=LOG)).jobs[0]

    async def point_on(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"{rig.api_url}/user"})

    rig.log_host.answer = point_on
    with pytest.raises(Refused, match="once"):
        await client.job_log(REPO, job.id)
    assert len(rig.calls) == 1


async def test_a_log_that_is_served_directly_is_not_taken(
    rig: GitHubRig, client: GitHubClient
) -> None:
    job = run(rig, JobPlan(name="test", log=LOG)).jobs[0]
    for status in (200, 301, 307):
        rig.faults.fail(JOB_LOG, with_=Raw(status=status, body=b"{}"))
        with pytest.raises(Refused):
            await client.job_log(REPO, job.id)


async def test_a_log_that_is_gone_is_not_found(rig: GitHubRig, client: GitHubClient) -> None:
    expired, kept = run(rig, JobPlan(name="a", log=None), JobPlan(name="b", log=LOG)).jobs
    with pytest.raises(NotFound):
        await client.job_log(REPO, expired.id)
    for status, expected in ((404, NotFound), (403, Unavailable), (503, Unavailable)):
        rig.log_host.answer = _answering(status)
        with pytest.raises(expected):
            await client.job_log(REPO, kept.id)


def _answering(status: int) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    return answer


async def test_a_log_without_end_is_left(
    rig: GitHubRig, client: GitHubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = run(rig, JobPlan(name="test", log=LOG)).jobs[0]
    ended = asyncio.Event()

    async def pour(request: web.Request) -> web.StreamResponse:
        poured = web.StreamResponse()
        await poured.prepare(request)
        try:
            while True:
                await poured.write(b"x" * 65_536)
        except ConnectionError:
            ended.set()
        return poured

    rig.log_host.answer = pour
    monkeypatch.setattr(
        "openloop.integrations.github.requests.actions.LogKeeper",
        lambda: LogKeeper(most_bytes=1_000_000),
    )
    with pytest.raises(Refused, match="too large: more than 1000000 bytes"):
        await client.job_log(REPO, job.id)
    async with asyncio.timeout(10):
        await ended.wait()


async def test_a_log_that_does_not_come_is_not_waited_for(
    rig: GitHubRig, client: GitHubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "LOG_SECONDS", 0.1)
    job, released = run(rig, JobPlan(name="test", log=LOG)).jobs[0], asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    rig.log_host.answer = hold
    with pytest.raises(Unavailable, match="no answer within"):
        await client.job_log(REPO, job.id)
    released.set()


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_of_a_long_log_the_ends_are_kept_and_the_lines_counted(chunk: int) -> None:
    whole = b"".join(b"line %d\n" % number for number in range(1, 501))
    keeper = LogKeeper(beginning_bytes=100, ending_bytes=200)
    for start in range(0, len(whole), chunk):
        assert keeper.take(whole[start : start + chunk])
    log = keeper.log()

    assert not log.is_whole
    assert log.total_bytes == len(whole)
    assert len(log.ending) < 200 + chunk + 1
    lines = b"".join(pieces(log)).split(b"\n")
    assert (lines[0], lines[499], len(lines)) == (b"line 1", b"line 500", 501)
    assert [*filter(None, lines)] == [
        line for number, line in enumerate(lines, 1) if line == b"line %d" % number
    ]


def test_a_short_log_is_whole() -> None:
    keeper = LogKeeper(beginning_bytes=4, ending_bytes=100)
    keeper.take(b"one\ntwo\nthree")
    assert (keeper.log().is_whole, keeper.log().beginning) == (True, b"one\ntwo\nthree")
    assert LogKeeper().log().beginning == b""


# --- the archive of a whole run ------------------------------------------------------------------


def archived(files: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", method) as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    return written.getvalue()


def unpacked(archive: bytes) -> tuple[ArchivedLog, ...]:
    return unpack(archive, everything)


def everything(_: str) -> bool:
    return True


async def test_the_archive_of_a_run_is_unpacked(rig: GitHubRig, client: GitHubClient) -> None:
    made = run(rig, JobPlan(name="test", log=LOG), JobPlan(name="lint", log=b"fine\n"))

    found = await client.run_logs(REPO, made.id, is_wanted=everything)

    assert [one.label for one in found] == ["0_test.txt", "1_lint.txt"]
    assert [one.log.beginning for one in found] == [LOG, b"fine\n"]


def test_what_is_not_wanted_of_an_archive_is_not_unpacked() -> None:
    archive = archived({"0_test.txt": b"a", "bomb.txt": b"\0" * (8 * 2**20)})

    (one,) = unpack(archive, lambda label: label == "0_test.txt")

    assert one.log.beginning == b"a"


def test_names_in_an_archive_are_labels() -> None:
    (one,) = unpacked(archived({"../../etc/\x1b[2Jpasswd": b"a"}))
    assert one.label == "../../etc/ [2Jpasswd"


def test_an_archive_within_is_not_opened() -> None:
    inner = archived({"a.txt": b"a"})
    found = unpacked(archived({"inner.zip": inner, "b.txt": b"b"}))
    assert [one.label for one in found] == ["b.txt"]


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(Refused, match="more than we unpack"):
        unpacked(archived({"bomb.txt": b"\0" * (8 * 2**20)}))
    assert len(unpacked(archived({"equal.txt": b"same\n" * 100_000}))) == 1


def test_many_small_files_are_as_much_as_one_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_UNPACKED_BYTES", 1000)
    with pytest.raises(Refused, match="more than we unpack"):
        unpacked(archived({f"{number}.txt": b"a" * 300 for number in range(4)}))


def test_an_archive_with_too_many_entries_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_ENTRIES", 3)
    with pytest.raises(Refused, match="more than 3"):
        unpacked(archived({f"{number}.txt": b"a" for number in range(4)}))


def test_a_directory_that_lies_about_its_entries_is_refused_by_its_size() -> None:
    archive = bytearray(archived({f"{number:05d}{'x' * 600}.txt": b"" for number in range(1900)}))
    end = archive.rfind(b"PK\x05\x06")
    struct.pack_into("<HH", archive, end + 8, 1, 1)
    with pytest.raises(Refused):
        unpacked(bytes(archive))


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"not an archive",
        b"PK\x05\x06",
        archived({"a.txt": b"abc" * 100})[:-30],
        archived({"a.txt": b"a" * 1000}).replace(b"PK\x03\x04", b"PK\x00\x00", 1),
        archived({"a.txt": b"a" * 1000}, method=zipfile.ZIP_LZMA),
        archived({"a.txt": b"a" * 1000}, method=zipfile.ZIP_BZIP2),
    ],
    ids=["nothing", "text", "an end", "cut off", "no entry", "lzma", "bzip2"],
)
def test_what_is_no_archive_of_logs_is_refused(archive: bytes) -> None:
    with pytest.raises(Refused, match="archive"):
        unpacked(archive)


def test_a_damaged_entry_is_refused() -> None:
    archive = bytearray(archived({"a.txt": bytes(range(256)) * 50}, method=zipfile.ZIP_STORED))
    archive[100] ^= 0xFF
    with pytest.raises(Refused, match="damaged"):
        unpacked(bytes(archive))


def test_a_large_directory_hidden_behind_a_small_one_is_refused() -> None:
    archive = archived({"a.txt": b"a"})
    end = archive.rfind(b"PK\x05\x06")
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 0, 1)
    with pytest.raises(Refused, match="more than"):
        unpacked(archive[:end] + locator + archive[end:])
