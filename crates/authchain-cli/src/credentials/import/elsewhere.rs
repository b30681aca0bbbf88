//! What nobody named: the usual places of other programs, and the database of a gateway.

use std::path::{Path, PathBuf};

use authchain::{
    store::import::{self, Finding, Means},
    trust::Trust,
};

use crate::{failure::Failure, output::Output};

/// The places of other programs where there is something. `own` is the folder of the store, which is no other program's.
pub(super) fn usual_places(own: &Path, output: &Output) -> Vec<PathBuf> {
    let is_own = |path: &Path| match (path.canonicalize(), own.canonicalize()) {
        (Ok(path), Ok(own)) => path == own,
        _ => false,
    };
    let places = import::well_known(|name| std::env::var_os(name), Path::new("."));
    let mut found = Vec::new();
    for place in places {
        if place.path.exists() && !is_own(&place.path) {
            output.say(format!("{}: {}", place.program, place.path.display()));
            found.push(place.path);
        }
    }
    if found.is_empty() {
        output.say("There is nothing in the usual places of other programs.");
    }
    found
}

/// The rows of a gateway's database. What opens it comes from the environment, under the names that the gateway uses: a
/// command line is seen by everyone.
#[cfg(feature = "postgres")]
pub(super) async fn in_gateway(means: &Means, trust: &Trust) -> Result<Vec<Finding>, Failure> {
    use authchain::core::Secret;
    use import::GatewayKeys;

    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let needed = |name: &str| {
        variable(name).ok_or_else(|| super::place::unconfigured(format!("{name} is not set; --gateway needs it")))
    };
    let url = Secret::new(needed("DATABASE_URL")?);
    let mut keys = vec![Secret::new(needed("AUTH_GATEWAY_ENCRYPTION_KEY")?)];
    let older = variable("AUTH_GATEWAY_ROTATION_KEYS").unwrap_or_default();
    keys.extend(older.split(',').map(str::trim).filter(|key| !key.is_empty()).map(Secret::from));
    let salt = Secret::new(variable("AUTH_GATEWAY_ENCRYPTION_KEY_SALT").unwrap_or_default());
    Ok(import::look_in_gateway(&url, &GatewayKeys::new(&keys, &salt), means, trust).await?)
}

#[cfg(not(feature = "postgres"))]
#[expect(clippy::unused_async, reason = "it connects where the feature is on")]
pub(super) async fn in_gateway(_: &Means, _: &Trust) -> Result<Vec<Finding>, Failure> {
    Err(super::place::unconfigured("this program was built without PostgreSQL: build it with --features postgres"))
}
