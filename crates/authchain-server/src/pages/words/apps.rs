//! The words of the pages about connected programs.

use super::Sentence;

/// The programs that a person connected.
pub(crate) struct Apps {
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    pub(crate) open: &'static str,
    pub(crate) none: &'static str,
    pub(crate) returns_to: &'static str,
    pub(crate) since: &'static str,
    pub(crate) last_used: &'static str,
    pub(crate) not_asked_until: &'static str,
    pub(crate) revoke: &'static str,
    pub(crate) revoke_named: fn(client: &str) -> String,
    pub(crate) ask: fn(client: &str) -> String,
    pub(crate) ask_text: &'static str,
    pub(crate) revoked: fn(client: &str) -> String,
    pub(crate) revoked_text: fn(provider: &str) -> String,
    pub(crate) gone: Sentence,
}

pub(super) const ENGLISH: Apps = Apps {
    title: "Connected programs",
    text: "These programs may act for you through this server.",
    open: "See and disconnect programs",
    none: "No program is connected.",
    returns_to: "Connected through",
    since: "Since",
    last_used: "Last used",
    not_asked_until: "Not asked again until",
    revoke: "Disconnect",
    revoke_named: |client| format!("Disconnect {client}"),
    ask: |client| format!("Disconnect “{client}”?"),
    ask_text: "It can no longer act for you, from now on and wherever you connected it. You can connect it again at any time.",
    revoked: |client| format!("“{client}” is disconnected"),
    revoked_text: |provider| {
        format!(
            "Its access has ended, and you are asked before it gets any again. Your sign-in at {provider} stays, for your other programs."
        )
    },
    gone: Sentence {
        title: "This program is not connected",
        text: "It was disconnected before, or never was connected.",
    },
};

pub(super) const GERMAN: Apps = Apps {
    title: "Verbundene Programme",
    text: "Diese Programme dürfen über diesen Server für Sie handeln.",
    open: "Programme ansehen und trennen",
    none: "Es ist kein Programm verbunden.",
    returns_to: "Verbunden über",
    since: "Seit",
    last_used: "Zuletzt benutzt",
    not_asked_until: "Keine Nachfrage bis",
    revoke: "Trennen",
    revoke_named: |client| format!("{client} trennen"),
    ask: |client| format!("„{client}“ trennen?"),
    ask_text: "Das Programm kann dann nicht mehr für Sie handeln, ab sofort und überall, wo Sie es verbunden haben. Sie können es jederzeit wieder verbinden.",
    revoked: |client| format!("„{client}“ ist getrennt"),
    revoked_text: |provider| {
        format!(
            "Sein Zugriff ist beendet, und bevor es wieder welchen bekommt, werden Sie gefragt. Ihre Anmeldung bei {provider} bleibt, für Ihre anderen Programme."
        )
    },
    gone: Sentence {
        title: "Dieses Programm ist nicht verbunden",
        text: "Es wurde schon getrennt oder war nie verbunden.",
    },
};
