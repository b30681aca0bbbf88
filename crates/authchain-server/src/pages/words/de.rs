//! German.

use super::{Accounts, Consent, Problems, Sentence, Sessions, SignIn, Words};

pub(super) const WORDS: Words = Words {
    lang: "de",
    consent: Consent {
        title: |client, provider| format!("„{client}“ bittet um Zugriff auf Ihr {provider}-Konto"),
        unverified: "So nennt sich das Programm selbst. Niemand hat diesen Namen geprüft.",
        described_at: "Beschrieben auf",
        only_this_computer: "Diese Seite steht für die Beschreibung des Programms ein, nicht für das Programm: jedes Programm auf diesem Computer kann die Antwort entgegennehmen.",
        returns_to: "Die Antwort geht an",
        this_computer: |host| format!("ein Programm auf diesem Computer ({host})"),
        app: |scheme| format!("die App auf diesem Gerät, die {scheme}:-Links öffnet"),
        this_computer_note: "Fahren Sie nur fort, wenn Sie dieses Programm gerade selbst gestartet haben.",
        account: "Konto",
        account_chosen_next: |provider| format!("Sie wählen es gleich bei {provider}"),
        wants: "Es möchte",
        identity: "Wer Sie sind",
        other: "Sonstiges",
        reads: "nur lesen",
        changes: "darf etwas ändern",
        nothing: "Es möchte nur eine Verbindung.",
        never: |provider| {
            format!(
                "Ihr Passwort und den Zugang dieses Servers zu {provider} bekommt es nie zu sehen. Sie können die Erlaubnis jederzeit zurücknehmen."
            )
        },
        allow: "Erlauben",
        deny: "Ablehnen",
        next: |provider| {
            format!("Nach „Erlauben“ melden Sie sich bei {provider} an. Nach „Ablehnen“ wird nichts weitergegeben.")
        },
        choose: "Entfernen Sie das Häkchen, wo Sie nichts freigeben möchten.",
        nothing_chosen: "Sie haben nichts angekreuzt. Kreuzen Sie an, was das Programm benutzen darf, und drücken Sie „Erlauben“. Oder drücken Sie „Ablehnen“, dann wird nichts weitergegeben.",
        keeps: "Das haben Sie früher erlaubt, und es bleibt",
        keeps_if_any: "Was Sie diesem Programm früher erlaubt haben, behält es.",
        remembered: |days| {
            let days = if days == 1 { "Einen Tag".to_owned() } else { format!("{days} Tage") };
            format!(
                "{days} lang werden Sie nicht wieder gefragt, wenn Sie diese Anmeldung selbst in diesem Browser beginnen."
            )
        },
    },
    sign_in: SignIn {
        title: |server| format!("Bei {server} anmelden"),
        text: |provider| {
            format!(
                "Sie melden sich bei {provider} an. Danach bewahrt dieser Server auf, was er braucht, um für Sie zu handeln."
            )
        },
        expected: "Melden Sie sich mit diesem Konto an",
        button: |provider| format!("Mit {provider} anmelden"),
        done: Sentence {
            title: "Sie sind angemeldet",
            text: "Sie können dieses Fenster schließen und zu Ihrem Programm zurückkehren.",
        },
        already: Sentence {
            title: "Sie sind schon angemeldet",
            text: "Es ist nichts mehr zu tun. Sie können dieses Fenster schließen und zu Ihrem Programm zurückkehren.",
        },
        account: "Konto",
        stored: "Was dieser Server für Sie tun darf",
        take_back: |provider| {
            format!(
                "Zum Zurücknehmen entfernen Sie diesen Server in den Sicherheitseinstellungen Ihres Kontos bei {provider}."
            )
        },
        another: "Mit einem anderen Konto anmelden",
        sign_out: "Auf dieser Seite abmelden",
        signed_out: Sentence {
            title: "Sie sind abgemeldet",
            text: "Dieser Browser ist abgemeldet. Programme, die Sie verbunden haben, bleiben verbunden.",
        },
    },
    accounts: Accounts {
        title: "Ihre Konten",
        text: "Programme, die für Sie handeln, können jedes dieser Konten benutzen: das aktive, solange sie kein anderes nennen.",
        manage: "Konten ansehen und ändern",
        link: "Weiteres Konto verknüpfen",
        link_title: "Weiteres Konto verknüpfen",
        link_text: |provider| {
            format!(
                "Sie melden sich bei {provider} mit dem anderen Konto an. Programme, die für Sie handeln, können es dann auch benutzen."
            )
        },
        link_hint: |owner| {
            format!(
                "Fahren Sie nur fort, wenn Sie {owner} sind: Wer sich hier als {owner} anmeldet, kann das Konto benutzen."
            )
        },
        linked: |account, owner| format!("{account} ist jetzt mit {owner} verknüpft."),
        chosen_next: |provider| format!("wählen Sie gleich bei {provider}"),
        account: "Konto",
        linked_to: "Verknüpft mit",
        more: "Das wird zusätzlich erbeten",
        more_for: |client| format!("Das Programm „{client}“ darf das dann auch."),
        rest_stays: "Was Sie bisher erlaubt haben, bleibt, wie es ist.",
        primary: "damit melden Sie sich an",
        secondary: "verknüpft",
        active: "aktiv",
        nothing_stored: "Dieses Konto hat sich hier noch nicht angemeldet.",
        valid: |until| format!("Es funktioniert. Das jetzige Token gilt bis {until} und wird von selbst erneuert."),
        valid_for_now: |until| format!("Es funktioniert bis {until}. Danach muss es sich wieder anmelden."),
        needs_sign_in: |why| format!("Es muss sich wieder anmelden ({why})."),
        sign_in_again: "Wieder anmelden",
        switch: "Zum aktiven Konto machen",
        switch_named: |account| format!("{account} zum aktiven Konto machen"),
        unlink: "Verknüpfung lösen",
        unlink_named: |account| format!("Verknüpfung mit {account} lösen"),
        unlink_text: "Ihre Programme können dieses Konto dann nicht mehr benutzen. Wenn es hier sonst niemand benutzt, wird der Zugang widerrufen und gelöscht.",
        keep: "Behalten",
        unlinked: "Die Verknüpfung ist gelöst",
        kept: "Ihre Programme können das Konto nicht mehr benutzen. Sein Zugang bleibt gespeichert, weil es hier noch jemand benutzt.",
        revoked: |provider| format!("Sein Zugang ist hier gelöscht, und {provider} hat ihn beendet."),
        not_revoked: |provider| {
            format!(
                "Sein Zugang ist hier gelöscht. {provider} hat nicht bestätigt, dass er beendet ist: Entfernen Sie diesen Server in den Sicherheitseinstellungen jenes Kontos."
            )
        },
    },
    sessions: Sessions {
        title: "Sitzungsschlüssel",
        text: "Für Programme, die sich nicht selbst anmelden können. Ein Schlüssel endet, wenn ihn eine Weile niemand benutzt.",
        label: "Name, um ihn wiederzuerkennen",
        open: "Sitzungsschlüssel erstellen",
        none: "Es gibt keinen Sitzungsschlüssel.",
        unnamed: "ohne Namen",
        last_used: "zuletzt benutzt",
        end: "Beenden",
        end_named: |label| format!("{label} beenden"),
        opened: Sentence {
            title: "Ihr Sitzungsschlüssel",
            text: "Kopieren Sie ihn jetzt: Er wird nur dieses eine Mal gezeigt und nirgends gespeichert. Wer ihn hat, kann für Sie handeln.",
        },
        use_it: "Senden Sie ihn als Kopfzeile „Authorization: Bearer …“.",
        back: "Zurück",
    },
    device: super::device::GERMAN,
    apps: super::apps::GERMAN,
    new_client: super::new_client::GERMAN,
    problems: Problems {
        reference: "Vorgangsnummer",
        reconnect: "So verbinden Sie neu",
        reconnect_steps: [
            ("Claude", "Einstellungen → Konnektoren → dieser Server: Trennen, dann Verbinden."),
            ("Claude Code", "/mcp eingeben, diesen Server wählen, „Clear authentication“, dann „Authenticate“."),
            ("Cursor", "Settings → Tools & MCP → dieser Server: Logout, dann Connect."),
            (
                "VS Code",
                "Befehl „Authentication: Remove Dynamic Authentication Providers“, dann „MCP: List Servers“ → dieser Server → Restart.",
            ),
            ("ChatGPT", "Einstellungen → Apps & Konnektoren → dieser Server: Trennen, dann Verbinden."),
            ("MCP Inspector", "„Open Auth Settings“ → „Clear OAuth State“, dann Connect."),
        ],
        return_to: |client| format!("Zurück zu {client}"),
        unknown_client: Sentence {
            title: "Dieses Programm muss neu verbunden werden",
            text: "Es benutzt eine Registrierung, die dieser Server nicht kennt oder die lange nicht benutzt wurde. Mit Ihrem Konto ist alles in Ordnung.",
        },
        bad_redirect: Sentence {
            title: "Dieser Link führt woandershin",
            text: "Das Programm will die Antwort an eine Adresse schicken lassen, die es nicht registriert hat. Zu Ihrer Sicherheit wird nichts dorthin geschickt.",
        },
        client_document: Sentence {
            title: "Die Beschreibung dieses Programms ist nicht brauchbar",
            text: "Das Programm nennt eine Seite, die es beschreiben soll, und dieser Server kann sie nicht annehmen. Mit Ihrem Konto ist alles in Ordnung; sagen Sie es den Herstellern des Programms.",
        },
        bad_request: Sentence {
            title: "Dieser Link ist nicht vollständig",
            text: "Das Programm hat eine Anfrage geschickt, die nicht zu verstehen ist.",
        },
        unknown_state: Sentence {
            title: "Diese Anmeldung ist vorbei",
            text: "Sie wurde schon abgeschlossen oder hat zu lange gedauert. Kehren Sie zu Ihrem Programm zurück und beginnen Sie neu.",
        },
        other_browser: Sentence {
            title: "Bitte schließen Sie dort ab, wo Sie begonnen haben",
            text: "Diese Seite gehört zu einer Anmeldung, die in einem anderen Browser begonnen wurde, oder dieser Browser hat das Cookie nicht behalten. Zu Ihrer Sicherheit wurde nichts gespeichert. Beginnen Sie in Ihrem Programm neu und erlauben Sie Cookies für diese Seite.",
        },
        expired: Sentence {
            title: "Diese Seite war zu lange offen",
            text: "Es wurde nichts weitergegeben. Kehren Sie zu Ihrem Programm zurück und beginnen Sie neu.",
        },
        foreign: Sentence {
            title: "Dieses Formular kam nicht von dieser Seite",
            text: "Es wurde nichts weitergegeben. Kehren Sie zu Ihrem Programm zurück und beginnen Sie neu.",
        },
        already_done: Sentence {
            title: "Das ist schon erledigt",
            text: "Sie haben diese Seite bereits beantwortet. Kehren Sie zu Ihrem Programm zurück; Sie können dieses Fenster schließen.",
        },
        no_sign_in: Sentence {
            title: "Hier meldet sich niemand an",
            text: "An diesem Server kann sich niemand über Google anmelden: Sein Betreiber hat für Googles Dienste andere Zugangsdaten eingerichtet. Programme sind hier durch Token bekannt, die der Betreiber ausgibt; bitten Sie ihn um eines.",
        },
        no_such_page: Sentence {
            title: "Hier ist keine Seite",
            text: "Die Adresse ist vertippt, oder sie gehört zu einem Schritt einer Anmeldung, der sich nicht für sich öffnen lässt. Gehen Sie zurück zu Ihrem Programm und beginnen Sie von vorn.",
        },
        denied: Sentence {
            title: "Sie haben es nicht erlaubt",
            text: "Es wurde nichts weitergegeben und nichts gespeichert.",
        },
        provider: Sentence {
            title: "Die Anmeldung hat nicht geklappt",
            text: "Der Anbieter hat sie abgelehnt. Es wurde nichts gespeichert. Der Betreiber dieses Servers findet den Grund über die Vorgangsnummer.",
        },
        provider_down: Sentence {
            title: "Der Anbieter antwortet nicht",
            text: "Es ist nichts verloren. Bitte versuchen Sie es in einer Minute noch einmal.",
        },
        code_refused: Sentence {
            title: "Bitte melden Sie sich noch einmal an",
            text: "Die Anmeldung hat zu lange gedauert, oder ihr letzter Schritt wurde zweimal geöffnet. Es wurde nichts gespeichert. Gehen Sie zu Ihrem Programm zurück und beginnen Sie von vorn.",
        },
        wrong_account: Sentence {
            title: "Das war ein anderes Konto",
            text: "Es wurde nichts gespeichert. Beginnen Sie neu und wählen Sie das Konto, nach dem gefragt wurde.",
        },
        expected_account: "Gefragt war",
        got_account: "Angemeldet hat sich",
        ours: Sentence {
            title: "Auf diesem Server ist etwas schiefgegangen",
            text: "Es liegt nicht an Ihnen, und es ist nichts verloren. Bitte versuchen Sie es in einer Minute noch einmal; der Betreiber findet den Grund über die Vorgangsnummer.",
        },
    },
    scope: |scope| {
        Some(match scope {
            "openid" => "wissen, dass Sie es sind",
            "email" | "https://www.googleapis.com/auth/userinfo.email" => "Ihre E-Mail-Adresse sehen",
            "profile" | "https://www.googleapis.com/auth/userinfo.profile" => "Ihren Namen und Ihr Bild sehen",
            "offline_access" => "verbunden bleiben, während Sie weg sind",
            "https://www.googleapis.com/auth/drive" => {
                "alle Ihre Dateien in Google Drive sehen, bearbeiten, anlegen und löschen"
            }
            "https://www.googleapis.com/auth/drive.readonly" => {
                "alle Ihre Dateien in Google Drive sehen und herunterladen"
            }
            "https://www.googleapis.com/auth/drive.file" => {
                "die Dateien in Google Drive bearbeiten, die Sie mit dieser App benutzen"
            }
            "https://www.googleapis.com/auth/drive.metadata.readonly" => {
                "Namen und Angaben Ihrer Dateien in Google Drive sehen"
            }
            "https://mail.google.com/" => "alle Ihre E-Mails in Gmail lesen, schreiben, senden und endgültig löschen",
            "https://www.googleapis.com/auth/gmail.readonly" => "Ihre E-Mails und Einstellungen in Gmail sehen",
            "https://www.googleapis.com/auth/gmail.send" => "E-Mails in Ihrem Namen senden",
            "https://www.googleapis.com/auth/gmail.compose" => "Entwürfe verwalten und E-Mails senden",
            "https://www.googleapis.com/auth/gmail.modify" => "Ihre E-Mails in Gmail lesen, schreiben und senden",
            "https://www.googleapis.com/auth/calendar" => "alle Ihre Kalender sehen, bearbeiten, teilen und löschen",
            "https://www.googleapis.com/auth/calendar.readonly" => "alle Ihre Kalender sehen",
            "https://www.googleapis.com/auth/calendar.events" => {
                "Termine in allen Ihren Kalendern sehen und bearbeiten"
            }
            "https://www.googleapis.com/auth/calendar.events.readonly" => "Termine in allen Ihren Kalendern sehen",
            "https://www.googleapis.com/auth/documents" => {
                "alle Ihre Dokumente in Google Docs sehen, bearbeiten, anlegen und löschen"
            }
            "https://www.googleapis.com/auth/documents.readonly" => "alle Ihre Dokumente in Google Docs sehen",
            "https://www.googleapis.com/auth/spreadsheets" => {
                "alle Ihre Tabellen in Google Sheets sehen, bearbeiten, anlegen und löschen"
            }
            "https://www.googleapis.com/auth/spreadsheets.readonly" => "alle Ihre Tabellen in Google Sheets sehen",
            _ => return None,
        })
    },
};
