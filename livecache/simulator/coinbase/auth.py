"""Who may ask the private endpoints: JWTs as coinbase-advanced-py signs them, verified.

https://docs.cdp.coinbase.com/get-started/authentication/jwt-authentication
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

__all__ = ["KeyRing", "ThrowawayKey", "throwaway_key"]

JWT_HOST = "api.coinbase.com"
"""The host in a token's `uri`. The SDK signs this one, wherever the request is really sent."""

LIFETIME_S = 120
"""A token's `exp` is its `nbf` and at most this."""

# A key of each kind accepts its own algorithm only, so that nobody picks a weaker one.
PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclass(frozen=True)
class ThrowawayKey:
    """A CDP key pair for tests: `name` and `secret` go to the client, `public` to the `KeyRing`."""

    name: str
    secret: str = field(repr=False)
    public: PublicKey = field(repr=False)


def throwaway_key(kind: str = "ed25519") -> ThrowawayKey:
    """A new key pair: `"ed25519"` (its secret in base64) or `"ec"` (P-256, its secret in PEM)."""
    name = f"organizations/{secrets.token_hex(8)}/apiKeys/{secrets.token_hex(8)}"
    if kind == "ed25519":
        private = ed25519.Ed25519PrivateKey.generate()
        return ThrowawayKey(
            name, base64.b64encode(private.private_bytes_raw()).decode(), private.public_key()
        )
    if kind != "ec":
        raise ValueError(f"a key is 'ed25519' or 'ec', not {kind!r}")
    curve = ec.generate_private_key(ec.SECP256R1())
    pem = curve.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return ThrowawayKey(name, pem.decode(), curve.public_key())


class KeyRing:
    """The public keys that the simulator knows, by key name."""

    def __init__(self, *keys: ThrowawayKey, host: str = JWT_HOST) -> None:
        self._keys: dict[str, PublicKey] = {}
        self._host = host
        for key in keys:
            self.register(key.name, key.public)

    def register(self, name: str, public: PublicKey) -> None:
        """Accept what the owner of that key signs."""
        self._keys[name] = public

    def allows_rest(self, authorization: str | None, method: str, path: str, now: int | None = None) -> bool:
        """Whether an `Authorization` header allows that request. `path` is without host and query.

        `now` is the market's clock, Unix ms: a token is good by that one, or by the host's.
        """
        scheme, _, token = (authorization or "").partition(" ")
        claims = self._claims(token, now) if scheme.lower() == "bearer" else None
        return claims is not None and claims.get("uri") == f"{method} {self._host}{path}"

    def allows_feed(self, token: str, now: int | None = None) -> bool:
        """Whether a subscription may carry that token. `now` as in `allows_rest`."""
        return self._claims(token, now) is not None

    def _claims(self, token: str, now: int | None) -> dict[str, object] | None:
        """A token's claims if a known key signed it and it is valid now, by either clock; else None."""
        try:
            name = jwt.get_unverified_header(token).get("kid")
            key = self._keys.get(name) if isinstance(name, str) else None
            if key is None:
                return None
            claims = self._valid(token, key, by_host=False)
            begin, end = claims["nbf"], claims["exp"]
            if not (isinstance(begin, int | float) and isinstance(end, int | float)):
                return None
            if now is None or not begin <= now / 1000 < end:
                claims = self._valid(token, key, by_host=True)
        except jwt.PyJWTError:
            return None
        return None if claims["sub"] != name or end - begin > LIFETIME_S else claims

    def _valid(self, token: str, key: PublicKey, *, by_host: bool) -> dict[str, object]:
        """The claims of a token that this key signed. Raises PyJWTError."""
        claims: dict[str, object] = jwt.decode(
            token,
            key,
            algorithms=["EdDSA" if isinstance(key, ed25519.Ed25519PublicKey) else "ES256"],
            issuer="cdp",
            options={
                "require": ["exp", "nbf", "sub", "iss"],
                "verify_exp": by_host,
                "verify_nbf": by_host,
                "verify_iat": by_host,
            },
        )
        return claims
