"""Where the models are: providers, and the variables of their keys and addresses.

The names are the ones that LiteLLM documents. Where a provider has several names for one thing,
the first that is set counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from openloop.models.errors import ModelRefused, UnknownModel

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPTED: Final = "scripted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider. `key_needed` is false for what usually runs on one's own machine."""

    name: str
    key_names: tuple[str, ...] = ()
    base_names: tuple[str, ...] = ()
    version_names: tuple[str, ...] = ()
    key_needed: bool = True
    base_needed: bool = False
    local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Access:
    """How to reach a provider. Without a repr, since that would show the key."""

    api_key: str | None
    api_base: str | None
    api_version: str | None


def _hosted(name: str, prefix: str, *more_keys: str, base: tuple[str, ...] = ()) -> Provider:
    bases = base or (f"{prefix}_API_BASE",)
    return Provider(name=name, key_names=(f"{prefix}_API_KEY", *more_keys), base_names=bases)


def _own(name: str, prefix: str, *, base_needed: bool) -> Provider:
    return Provider(
        name=name,
        key_names=(f"{prefix}_API_KEY",),
        base_names=(f"{prefix}_API_BASE",),
        key_needed=False,
        base_needed=base_needed,
        local=True,
    )


PROVIDERS: Final[Mapping[str, Provider]] = {
    provider.name: provider
    for provider in (
        _hosted("openai", "OPENAI", base=("OPENAI_API_BASE", "OPENAI_BASE_URL")),
        _hosted("anthropic", "ANTHROPIC", base=("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL")),
        _hosted("gemini", "GEMINI", "GOOGLE_API_KEY"),
        _hosted("groq", "GROQ"),
        _hosted("mistral", "MISTRAL"),
        _hosted("deepseek", "DEEPSEEK"),
        _hosted("openrouter", "OPENROUTER", "OR_API_KEY"),
        _hosted("xai", "XAI"),
        Provider(
            name="azure",
            key_names=("AZURE_API_KEY",),
            base_names=("AZURE_API_BASE",),
            version_names=("AZURE_API_VERSION",),
            base_needed=True,
        ),
        _own("ollama", "OLLAMA", base_needed=False),
        _own("ollama_chat", "OLLAMA", base_needed=False),
        _own("hosted_vllm", "HOSTED_VLLM", base_needed=True),
    )
}


def split_model(model: str) -> tuple[str, str]:
    """`provider/name` in two. Raises UnknownModel."""
    provider, slash, name = model.partition("/")
    if not slash or not name:
        message = f"A model is named provider/name, as in openai/gpt-4o-mini, not {model!r}"
        raise UnknownModel(message)
    return provider, name


def provider_of(model: str) -> Provider:
    """The provider of a model that is not scripted. Raises UnknownModel."""
    name, _ = split_model(model)
    if name not in PROVIDERS:
        message = f"There is no provider {name!r}; known are {', '.join(PROVIDERS)}"
        raise UnknownModel(message)
    return PROVIDERS[name]


def is_reachable(provider: Provider, environ: Mapping[str, str]) -> bool:
    """True where the environment holds what this provider needs."""
    return not _missing(provider, environ)


def access(provider: Provider, environ: Mapping[str, str]) -> Access:
    """Key and address from the environment. Raises ModelRefused naming what is missing."""
    if missing := _missing(provider, environ):
        message = (
            f"{provider.name} is not set up: the model gateway has no {' and no '.join(missing)}"
        )
        raise ModelRefused(message, reason="no_key")
    return Access(
        api_key=_first(provider.key_names, environ),
        api_base=_first(provider.base_names, environ),
        api_version=_first(provider.version_names, environ),
    )


def variable_names() -> frozenset[str]:
    """Every variable that the gateway reads for a provider: only its environment holds them."""
    return frozenset(
        name
        for provider in PROVIDERS.values()
        for name in (*provider.key_names, *provider.base_names, *provider.version_names)
    )


def _missing(provider: Provider, environ: Mapping[str, str]) -> list[str]:
    needed = [
        *([provider.key_names] if provider.key_needed else []),
        *([provider.base_names] if provider.base_needed else []),
    ]
    return [" or ".join(names) for names in needed if _first(names, environ) is None]


def _first(names: tuple[str, ...], environ: Mapping[str, str]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
