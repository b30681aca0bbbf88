//! The controls over HTTP, for clients that are not Rust: `POST /standin/control`, `GET /standin/state`.
//!
//! A command is `{"do": "delay", "endpoint": "token", "millis": 500}`; several are a list. Browsers cannot send one from
//! a page of another origin: JSON needs a preflight, and none is answered.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use authchain_core::{Email, Scopes};
use axum::{
    Json, Router,
    extract::State,
    routing::{get, post},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Control, Endpoint, Fault};
use crate::standin::World;

/// One command; each is the method of [`Control`] with its name.
#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Command {
    Delay { endpoint: Endpoint, millis: u64 },
    Fail { endpoint: Endpoint, status: u16, times: Option<u64> },
    Inject { endpoint: Endpoint, fault: Fault, times: Option<u64> },
    Heal {},
    RefuseRefresh { words: Option<String> },
    OmitRefreshToken { on: bool },
    RotateRefreshTokens { on: bool },
    SevenDayDeath { on: bool },
    Age { seconds: u64 },
    WrongAudience { on: bool },
    WrongEmail { email: Option<Email> },
    IdTokenSkew { seconds: i64 },
    RotateKeys {},
    ExpireAccessTokens {},
    AccessTokenLife { seconds: u64 },
    GrantOnly { scopes: Option<Scopes> },
    SignInAs { email: Option<Email> },
    AutoApprove { on: bool },
    RefuseAuthorize { error: Option<String> },
    DeadEnd { error: Option<String> },
    ResetCounters {},
}

/// One command, or a list of them; the error says what is wrong with it.
fn read(json: Value) -> Result<Vec<Command>, String> {
    let commands =
        if json.is_array() { serde_json::from_value(json) } else { serde_json::from_value(json).map(|one| vec![one]) };
    commands.map_err(|error| error.to_string())
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/standin/control", post(control)).route("/standin/state", get(state))
}

async fn control(
    State(world): State<Arc<World>>,
    Json(json): Json<Value>,
) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let control = Control::new(world);
    let commands = read(json).map_err(|error| (StatusCode::BAD_REQUEST, Json(json!({"error": error}))))?;
    let done = commands.len();
    for command in commands {
        if matches!(command, Command::RotateKeys {}) {
            let control = control.clone();
            // Making a key takes a while; a task that cannot be joined was cancelled with the server.
            let _ = tokio::task::spawn_blocking(move || control.rotate_keys()).await;
        } else {
            control.obey(command);
        }
    }
    Ok(Json(json!({"done": done})))
}

async fn state(State(world): State<Arc<World>>) -> Json<Value> {
    let control = Control::new(world.clone());
    let requests: BTreeMap<Endpoint, u64> = Endpoint::ALL.iter().map(|e| (*e, control.requests(*e))).collect();
    let emails: Vec<Email> = world.people().all().map(|person| person.email.clone()).collect();
    let refresh_tokens: BTreeMap<&str, usize> =
        emails.iter().map(|email| (email.as_str(), control.live_refresh_tokens(email))).collect();
    Json(json!({
        "issuer": world.issuer,
        "requests": requests,
        "grants": world.ledger().grants(),
        "live_refresh_tokens": refresh_tokens,
        "log": control.log(),
    }))
}

impl Control {
    fn obey(&self, command: Command) {
        match command {
            Command::Delay { endpoint, millis } => self.delay(endpoint, Duration::from_millis(millis)),
            Command::Fail { endpoint, status, times } => self.fail(endpoint, status, times.unwrap_or(1)),
            Command::Inject { endpoint, fault, times } => self.inject(endpoint, fault, times.unwrap_or(1)),
            Command::Heal {} => self.heal(),
            Command::RefuseRefresh { words } => self.refuse_refresh(words.as_deref()),
            Command::OmitRefreshToken { on } => self.omit_refresh_token(on),
            Command::RotateRefreshTokens { on } => self.rotate_refresh_tokens(on),
            Command::SevenDayDeath { on } => self.seven_day_death(on),
            Command::Age { seconds } => self.age(Duration::from_secs(seconds)),
            Command::WrongAudience { on } => self.wrong_audience(on),
            Command::WrongEmail { email } => self.wrong_email(email.as_ref()),
            Command::IdTokenSkew { seconds } => self.id_token_skew(seconds),
            Command::RotateKeys {} => self.rotate_keys(),
            Command::ExpireAccessTokens {} => self.expire_access_tokens(),
            Command::AccessTokenLife { seconds } => self.access_token_life(Duration::from_secs(seconds)),
            Command::GrantOnly { scopes } => self.grant_only(scopes.as_ref()),
            Command::SignInAs { email } => self.sign_in_as(email.as_ref()),
            Command::AutoApprove { on } => self.auto_approve(on),
            Command::RefuseAuthorize { error } => self.refuse_authorize(error.as_deref()),
            Command::DeadEnd { error } => self.dead_end(error.as_deref()),
            Command::ResetCounters {} => self.reset_counters(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_and_misspelt_ones_refused() {
        for good in [
            r#"{"do":"delay","endpoint":"token","millis":500}"#,
            r#"[{"do":"fail","endpoint":"refresh","status":503},{"do":"heal"}]"#,
            r#"{"do":"inject","endpoint":"drive","fault":{"trickle":5}}"#,
            r#"{"do":"inject","endpoint":"drive","fault":{"refusal":"accessNotConfigured"},"times":3}"#,
            r#"{"do":"inject","endpoint":"any","fault":"close"}"#,
            r#"{"do":"grant_only","scopes":"openid email"}"#,
            r#"{"do":"sign_in_as","email":null}"#,
        ] {
            assert!(read(serde_json::from_str(good).unwrap()).is_ok(), "{good}");
        }
        for bad in [r#"{"do":"explode"}"#, r#"{"do":"heal","now":true}"#, r#"{"do":"wrong_audience","of":true}"#] {
            assert!(read(serde_json::from_str(bad).unwrap()).is_err(), "{bad}");
        }
    }
}
