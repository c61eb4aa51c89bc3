"""A stand-in of an identity provider: discovery, keys, the code flow with PKCE, and its mistakes."""

from openloop.testing.rigs.oidc.issuer import Issuer

__all__ = ["Issuer"]
