"""What an integration author tests with: rigs (fakes of remote services) and contract suites."""
