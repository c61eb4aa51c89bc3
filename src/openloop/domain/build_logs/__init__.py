"""Finding the line of a build log that says why the build failed; nothing here asks a model."""
