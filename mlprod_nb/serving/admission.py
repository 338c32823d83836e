"""What a request's headers say of its caller: the token, and the variant that a test wants."""

from __future__ import annotations

import base64
import binascii

from starlette.datastructures import Headers

from mlprod_nb.serving.auth import Gatekeeper

VARIANT_HEADER = "x-mlprod-variant"


def authorization(headers: Headers) -> str:
    """Return a request's ``Authorization`` header, in the bearer form.

    A client that knows names and passwords only (``http://x:TOKEN@host``) sends the token as the password of any name.
    """
    given = headers.get("authorization", "")
    scheme, _, rest = given.partition(" ")
    if scheme.lower() != "basic":
        return given
    try:
        return f"Bearer {base64.b64decode(rest.strip(), validate=True).decode().partition(':')[2]}"
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def admit(gatekeeper: Gatekeeper, headers: Headers) -> str:
    """Check that a request may ask for predictions.

    Returns:
        The variant that must answer; empty: the assigned one.

    Raises:
        Unauthenticated: There is no valid token.
        AccessDenied: The token's role may not predict, or not choose a variant.
    """
    await gatekeeper.require(authorization(headers), "predict")
    variant = headers.get(VARIANT_HEADER, "")
    if variant:
        await gatekeeper.require(authorization(headers), "deploy")
    return variant
