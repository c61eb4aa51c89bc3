"""Manifests of a folder, as `apply` takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openloop.actions.manifests import ManifestFile

if TYPE_CHECKING:
    from pathlib import Path


def read_files(folder: Path) -> list[ManifestFile]:
    """Every manifest of a folder, not below."""
    return [
        ManifestFile(name=path.name, text=path.read_text())
        for path in sorted(folder.glob("*.yaml"))
    ]
