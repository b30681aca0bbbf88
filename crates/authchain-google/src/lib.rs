//! Google scopes, services and a cache of typed API clients for authchain.
