"""What GitHub can be asked, a file for each of its resources; `GitHubClient` is all of them."""
