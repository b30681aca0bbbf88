//! Bearer JWTs for authchain: verification, JWKS, signing keys, dev tokens.
