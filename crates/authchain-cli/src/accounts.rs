//! `authchain accounts`: the accounts of the people in the local store.

use authchain::{
    accounts::{Account, AccountStatus, Health, SetUp, Unlinked},
    core::{Email, ProviderId, UserId},
    provider::Revocation,
};
use authchain_server::{
    App,
    config::{RefreshSection, Sources},
};
use serde_json::{Value, json};

use crate::{
    args::{Accounts, AccountsCommon},
    failure::Failure,
    output::{Output, table},
};

pub(crate) async fn run(mut sources: Sources, command: Accounts, output: &Output) -> Result<(), Failure> {
    let common = command.common();
    if let Some(data) = &common.data {
        sources = sources.set("storage.directory", data.display(), "--data");
    }
    let config = sources.load()?;
    crate::logging::start(&config.log);
    let (local_user, refresh) = (config.local.user.clone(), config.refresh.clone());
    let app = App::new(config).await?;
    match &command {
        Accounts::List(common) => list(&app, common, output).await,
        Accounts::Link { account, common } => {
            let owner = owner(&app, common, local_user).await?;
            let account = named(account);
            app.parts().accounts.link_stored(&owner, &account).await.map_err(|error| {
                let fix = format!("Sign in with it first: authchain login --account {}", account.user);
                Failure { fix, ..error.into() }
            })?;
            let answer = json!({ "status": "linked", "owner": owner.user, "account": account.user });
            output.answer(&answer, format!("{} is linked to {}.", account.user, owner.user));
            Ok(())
        }
        Accounts::Switch { account, common } => {
            let owner = owner(&app, common, local_user).await?;
            let active = app.parts().accounts.switch(&owner, account.as_str()).await?;
            let answer = json!({ "status": "switched", "owner": owner.user, "active": active.user });
            output.answer(&answer, format!("The active account of {} is {}.", owner.user, active.user));
            Ok(())
        }
        Accounts::Unlink { account, common } => {
            let owner = owner(&app, common, local_user).await?;
            unlink(&app, &owner, &named(account), &refresh, output).await
        }
        Accounts::Validate(common) => {
            let owner = owner(&app, common, local_user).await?;
            validate(&app, &owner, output).await
        }
    }
}

fn named(email: &Email) -> Account {
    Account { provider: ProviderId::google(), user: UserId::from(email) }
}

/// Whose accounts: the person who was named, the configured local user, or the only one there is.
async fn owner(app: &App, common: &AccountsCommon, local_user: Option<Email>) -> Result<Account, Failure> {
    if let Some(email) = common.owner.as_ref().or(local_user.as_ref()) {
        return Ok(named(email));
    }
    let people = app.parts().accounts.people().await?;
    match people.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::not_found("nobody has signed in here", "Sign in: authchain login")),
        several => {
            let names: Vec<_> = several.iter().map(|person| person.user.as_str()).collect();
            let fix = "Say whose accounts are meant: --owner EMAIL";
            Err(Failure {
                exit: 2,
                ..Failure::new(format!("several people use this store: {}", names.join(", ")), fix)
            })
        }
    }
}

async fn list(app: &App, common: &AccountsCommon, output: &Output) -> Result<(), Failure> {
    let people = match &common.owner {
        Some(email) => vec![named(email)],
        None => app.parts().accounts.people().await?,
    };
    let (mut answer, mut rows) = (Vec::new(), Vec::new());
    for owner in people {
        let accounts = app.parts().accounts.list(&owner).await?;
        rows.extend(accounts.iter().map(|account| row(&owner, account)));
        answer.push(json!({ "owner": owner.user, "accounts": accounts }));
    }
    output.answer(&Value::Array(answer), table(["OWNER", "ACCOUNT", "ROLE", "STATE", "SCOPES"], &rows));
    Ok(())
}

fn row(owner: &Account, account: &AccountStatus) -> [String; 5] {
    let role = if account.primary { "primary" } else { "linked" };
    let role = if account.active { format!("{role}, active") } else { role.into() };
    let states: Vec<_> = account.credentials.iter().map(|credential| state(credential.status)).collect();
    let state = if states.is_empty() { "nothing stored".into() } else { states.join(", ") };
    let registry = authchain::google::registry();
    let short = |scope: &str| registry.describe(scope).map_or(scope.to_owned(), |known| known.alias.to_owned());
    let scopes: Vec<_> = account.credentials.iter().flat_map(|c| c.scopes.iter().map(short)).collect();
    [owner.user.to_string(), account.account.user.to_string(), role, state, scopes.join(" ")]
}

fn state(status: SetUp) -> &'static str {
    match status {
        SetUp::Valid => "valid",
        SetUp::ValidForNow => "valid for now",
        SetUp::NeedsSignIn => "needs sign-in",
    }
}

async fn unlink(
    app: &App,
    owner: &Account,
    account: &Account,
    refresh: &RefreshSection,
    output: &Output,
) -> Result<(), Failure> {
    let unlinked = app.parts().accounts.unlink(owner, account).await?;
    let (user, owner) = (&account.user, &owner.user);
    match unlinked {
        Unlinked::Kept => {
            let answer = json!({ "status": "unlinked", "account": user, "credential": "kept" });
            let text = format!("{user} is no longer linked to {owner}. Its credential stays: somebody else uses it.");
            output.answer(&answer, text);
            Ok(())
        }
        Unlinked::Removed(revocations) => {
            let words: Vec<_> = revocations.iter().map(ToString::to_string).collect();
            let ended = revocations.iter().all(Revocation::is_ended);
            let answer = json!({
                "status": "unlinked", "account": user, "credential": "deleted", "revoked": ended, "at_the_provider": words,
            });
            let words = words.join("; ");
            output.answer(
                &answer,
                format!(
                    "{user} is no longer linked to {owner}, and its credential is deleted. At the provider: {words}."
                ),
            );
            output.say_when_servers_notice(refresh);
            if ended {
                return Ok(());
            }
            let fix = "Remove the app in the security settings of that account.";
            Err(Failure { code: "partly_done", exit: 9, ..Failure::new("the provider did not confirm the end", fix) })
        }
    }
}

async fn validate(app: &App, owner: &Account, output: &Output) -> Result<(), Failure> {
    let found = app.parts().accounts.validate(owner).await?;
    let status = match found.status {
        Health::Healthy => "healthy",
        Health::Partial => "partial",
        Health::NeedsConfiguration => "needs_configuration",
    };
    let yes = |it: bool| if it { "works" } else { "no" };
    let mut lines = vec![
        format!("{}: {status}", owner.user),
        format!("  primary account   {}", yes(found.primary_flow)),
        format!("  linked accounts   {}", yes(found.secondary_flow)),
        format!("  both together     {}", yes(found.bridging)),
    ];
    lines.extend(found.recommendations.iter().map(|sentence| format!("  - {sentence}")));
    output.answer(&json!({ "owner": owner.user, "health": found }), lines.join("\n"));
    match found.status {
        Health::Healthy => Ok(()),
        Health::Partial => {
            Err(Failure { code: "partial", exit: 9, ..Failure::new("an account does not work", "See above.") })
        }
        Health::NeedsConfiguration => {
            let fix = "Do what stands above, then run it again.";
            Err(Failure { code: "needs_configuration", exit: 4, ..Failure::new("accounts have to sign in", fix) })
        }
    }
}
