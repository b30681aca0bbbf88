//! The words of the pages for devices without a browser.

use super::Sentence;

/// The pages for devices.
pub(crate) struct Device {
    pub(crate) title: &'static str,
    pub(crate) text: &'static str,
    pub(crate) compare: &'static str,
    pub(crate) code: &'static str,
    pub(crate) go_on: &'static str,
    pub(crate) unknown: &'static str,
    pub(crate) too_often: &'static str,
    pub(crate) same_code: &'static str,
    pub(crate) the_device: &'static str,
    pub(crate) warning: &'static str,
    pub(crate) done: Sentence,
    pub(crate) denied: Sentence,
    pub(crate) over: Sentence,
}

pub(super) const ENGLISH: Device = Device {
    title: "Connect a device",
    text: "Type the code that your device shows.",
    compare: "Go on only if your device shows exactly this code.",
    code: "Code",
    go_on: "Continue",
    unknown: "No device waits with this code. Compare it with what your device shows now, or let the device ask for a new one.",
    too_often: "Too many codes were typed. Wait a minute, then try again.",
    same_code: "Your device must show this very code:",
    the_device: "the device that shows the code",
    warning: "Did somebody send you this code, or read it out to you? Then close this page: whoever has the device gets the access to your account. Go on only if you have started the program yourself, on a device of your own.",
    done: Sentence {
        title: "You may return to your device",
        text: "It connects within a few seconds. You may close this window.",
    },
    denied: Sentence { title: "The device gets no access", text: "Nothing was shared. You may close this window." },
    over: Sentence {
        title: "This code is over",
        text: "It was answered before, or it took too long. Let your device ask for a new code.",
    },
};

pub(super) const GERMAN: Device = Device {
    title: "Gerät verbinden",
    text: "Geben Sie den Code ein, den Ihr Gerät anzeigt.",
    compare: "Machen Sie nur weiter, wenn Ihr Gerät genau diesen Code anzeigt.",
    code: "Code",
    go_on: "Weiter",
    unknown: "Mit diesem Code wartet kein Gerät. Vergleichen Sie ihn mit dem, was Ihr Gerät jetzt anzeigt, oder lassen Sie es einen neuen anfordern.",
    too_often: "Es wurden zu viele Codes eingegeben. Warten Sie eine Minute und versuchen Sie es dann noch einmal.",
    same_code: "Ihr Gerät muss genau diesen Code anzeigen:",
    the_device: "das Gerät, das den Code anzeigt",
    warning: "Hat Ihnen jemand diesen Code geschickt oder vorgelesen? Dann schließen Sie diese Seite: Wer das Gerät hat, bekommt den Zugriff auf Ihr Konto. Machen Sie nur weiter, wenn Sie das Programm selbst gestartet haben, auf einem eigenen Gerät.",
    done: Sentence {
        title: "Sie können zu Ihrem Gerät zurückkehren",
        text: "Es verbindet sich in wenigen Sekunden. Sie können dieses Fenster schließen.",
    },
    denied: Sentence {
        title: "Das Gerät bekommt keinen Zugriff",
        text: "Es wurde nichts freigegeben. Sie können dieses Fenster schließen.",
    },
    over: Sentence {
        title: "Dieser Code gilt nicht mehr",
        text: "Er wurde schon beantwortet, oder es hat zu lange gedauert. Lassen Sie Ihr Gerät einen neuen anfordern.",
    },
};
