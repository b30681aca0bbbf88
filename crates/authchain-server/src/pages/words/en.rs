//! English.

use super::{Accounts, Consent, Problems, Sentence, Sessions, SignIn, Words};

pub(super) const WORDS: Words = Words {
    lang: "en",
    consent: Consent {
        title: |client, provider| format!("“{client}” asks for access to your {provider} account"),
        unverified: "This name is what the program says of itself. Nobody has checked it.",
        described_at: "Described at",
        only_this_computer: "This site vouches for the program's description, not for the program: any program on this computer can take the answer.",
        returns_to: "The answer goes to",
        this_computer: |host| format!("a program on this computer ({host})"),
        app: |scheme| format!("the app on this device that opens {scheme}: links"),
        this_computer_note: "Go on only if you have just started this program yourself.",
        account: "Account",
        account_chosen_next: |provider| format!("you choose it next, at {provider}"),
        wants: "It wants to be allowed to",
        identity: "Who you are",
        other: "Other",
        reads: "read only",
        changes: "may make changes",
        nothing: "It asks for nothing but to connect.",
        never: |provider| {
            format!(
                "It never sees your password or this server's access to {provider}. You can take this back at any time."
            )
        },
        allow: "Allow",
        deny: "Deny",
        next: |provider| format!("After Allow, {provider} asks you to sign in. After Deny, nothing is shared."),
        choose: "Untick what you do not want it to use.",
        nothing_chosen: "You have unticked everything. Tick what it may use and press Allow, or press Deny to share nothing.",
        keeps: "It keeps what you allowed it before",
        keeps_if_any: "What you allowed it before, it keeps.",
        remembered: |days| {
            let days = if days == 1 { "a day".to_owned() } else { format!("{days} days") };
            format!("For {days} you are not asked again when you start this sign-in yourself in this browser.")
        },
    },
    sign_in: SignIn {
        title: |server| format!("Sign in to {server}"),
        text: |provider| format!("You sign in at {provider}. This server then keeps what it needs to act for you."),
        expected: "Sign in with this account",
        button: |provider| format!("Sign in with {provider}"),
        done: Sentence { title: "You are signed in", text: "You may close this window and go back to your program." },
        already: Sentence {
            title: "You are already signed in",
            text: "There is nothing left to do. You may close this window and go back to your program.",
        },
        account: "Account",
        stored: "What this server may do for you",
        take_back: |provider| {
            format!("To take it back, remove this server in the security settings of your account at {provider}.")
        },
        another: "Sign in with another account",
        sign_out: "Sign out of this page",
        signed_out: Sentence {
            title: "You are signed out",
            text: "This browser is signed out. Programs that you connected stay connected.",
        },
    },
    accounts: Accounts {
        title: "Your accounts",
        text: "Programs that act for you can use each of these accounts: the active one, unless they name another.",
        manage: "See and change your accounts",
        link: "Link another account",
        link_title: "Link another account",
        link_text: |provider| {
            format!("You sign in at {provider} with the other account. Programs that act for you can then use it too.")
        },
        link_hint: |owner| {
            format!("Go on only if you are {owner}: whoever signs in here as {owner} can use the account.")
        },
        linked: |account, owner| format!("{account} is now linked to {owner}."),
        chosen_next: |provider| format!("you choose it next, at {provider}"),
        account: "Account",
        linked_to: "Linked to",
        more: "This is asked for in addition",
        more_for: |client| format!("The program “{client}” will be allowed to do this as well."),
        rest_stays: "What you allowed before stays as it is.",
        primary: "you sign in with it",
        secondary: "linked",
        active: "active",
        nothing_stored: "This account has not signed in here yet.",
        valid: |until| format!("It works. The present token is valid until {until} and is renewed by itself."),
        valid_for_now: |until| format!("It works until {until}. Then it has to sign in again."),
        needs_sign_in: |why| format!("It has to sign in again ({why})."),
        sign_in_again: "Sign in again",
        switch: "Make it the active account",
        switch_named: |account| format!("Make {account} the active account"),
        unlink: "Unlink",
        unlink_named: |account| format!("Unlink {account}"),
        unlink_text: "Your programs can no longer use this account. Unless somebody else uses it here, its credential is revoked and deleted.",
        keep: "Keep it",
        unlinked: "The account is unlinked",
        kept: "Your programs can no longer use it. Its credential stays, because somebody else uses the account here.",
        revoked: |provider| format!("Its credential is deleted here, and {provider} has ended the access."),
        not_revoked: |provider| {
            format!(
                "Its credential is deleted here. {provider} did not confirm that the access has ended: remove this server in the security settings of that account."
            )
        },
    },
    sessions: Sessions {
        title: "Session tokens",
        text: "For programs that cannot sign in by themselves. A token ends when nobody uses it for a while.",
        label: "Name, to recognise it by",
        open: "Make a session token",
        none: "There is no session token.",
        unnamed: "without a name",
        last_used: "last used",
        end: "End",
        end_named: |label| format!("End {label}"),
        opened: Sentence {
            title: "Your session token",
            text: "Copy it now: it is shown this once and stored nowhere. Whoever has it can act for you.",
        },
        use_it: "Send it as the header “Authorization: Bearer …”.",
        back: "Back",
    },
    device: super::device::ENGLISH,
    apps: super::apps::ENGLISH,
    new_client: super::new_client::ENGLISH,
    problems: Problems {
        reference: "Reference number",
        reconnect: "How to connect again",
        reconnect_steps: [
            ("Claude", "Settings → Connectors → this server: Disconnect, then Connect."),
            ("Claude Code", "Type /mcp, choose this server, “Clear authentication”, then “Authenticate”."),
            ("Cursor", "Settings → Tools & MCP → this server: Logout, then Connect."),
            (
                "VS Code",
                "Command “Authentication: Remove Dynamic Authentication Providers”, then “MCP: List Servers” → this server → Restart.",
            ),
            ("ChatGPT", "Settings → Apps & Connectors → this server: Disconnect, then Connect."),
            ("MCP Inspector", "“Open Auth Settings” → “Clear OAuth State”, then Connect."),
        ],
        return_to: |client| format!("Return to {client}"),
        unknown_client: Sentence {
            title: "This program has to connect anew",
            text: "It uses a registration that this server does not know, or that was not used for a long time. Nothing is wrong with your account.",
        },
        bad_redirect: Sentence {
            title: "This link leads somewhere else",
            text: "The program wants the answer sent to an address that it did not register. For your safety nothing is sent there.",
        },
        client_document: Sentence {
            title: "This program's description cannot be used",
            text: "The program names a page that should describe it, and this server cannot accept that page. Nothing is wrong with your account; tell the makers of the program.",
        },
        bad_request: Sentence {
            title: "This link is not complete",
            text: "The program has sent a request that cannot be understood.",
        },
        unknown_state: Sentence {
            title: "This sign-in is over",
            text: "It was finished before, or it took too long. Go back to your program and start again.",
        },
        other_browser: Sentence {
            title: "Please finish in the browser where you began",
            text: "This page belongs to a sign-in that was begun in another browser, or this browser did not keep the cookie. For your safety nothing was stored. Start again from your program, and allow cookies for this site.",
        },
        expired: Sentence {
            title: "This page was open for too long",
            text: "Nothing was shared. Go back to your program and start again.",
        },
        foreign: Sentence {
            title: "This form did not come from this page",
            text: "Nothing was shared. Go back to your program and start again.",
        },
        already_done: Sentence {
            title: "This is already done",
            text: "You have answered this page before. Return to your program; you may close this window.",
        },
        no_sign_in: Sentence {
            title: "Nobody signs in here",
            text: "Nobody can sign in through Google at this server: its operator has set up another credential for Google's services. Programs are known here by tokens that the operator gives out; ask the operator for one.",
        },
        no_such_page: Sentence {
            title: "There is no page here",
            text: "The address is mistyped, or it belongs to a step of a sign-in that cannot be opened by itself. Go back to your program and start again.",
        },
        denied: Sentence { title: "You did not allow it", text: "Nothing was shared and nothing was stored." },
        provider: Sentence {
            title: "The sign-in did not work",
            text: "The provider refused it. Nothing was stored. The operator of this server can find the reason by the reference number.",
        },
        provider_down: Sentence {
            title: "The provider does not answer",
            text: "Nothing was lost. Please try again in a minute.",
        },
        code_refused: Sentence {
            title: "Please sign in once more",
            text: "The sign-in took too long, or its last step was opened twice. Nothing was stored. Go back to your program and start again.",
        },
        wrong_account: Sentence {
            title: "That was another account",
            text: "Nothing was stored. Start again and choose the account that was asked for.",
        },
        expected_account: "Asked for",
        got_account: "Signed in",
        ours: Sentence {
            title: "Something went wrong on this server",
            text: "It is not your fault, and nothing was lost. Please try again in a minute; the operator can find the reason by the reference number.",
        },
    },
    scope: |scope| {
        Some(match scope {
            "openid" => "know that it is you",
            "email" | "https://www.googleapis.com/auth/userinfo.email" => "see your email address",
            "profile" | "https://www.googleapis.com/auth/userinfo.profile" => "see your name and picture",
            "offline_access" => "stay connected while you are away",
            _ => return None,
        })
    },
};
