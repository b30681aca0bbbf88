//! Which of the suite's scenarios run against what, and why the others do not.

/// What answers a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The example server, as `authchain demo` starts it.
    Example,
    /// The server of `everything.rs` behind [`authchain_mcp::service`].
    Everything,
    /// The same with the protocol sessions of the versions before 2026-07-28, which [`authchain_mcp::service`] has switched
    /// off: with them a server can ask its client something.
    Sessions,
}

/// What becomes of a scenario.
pub(crate) enum Fate {
    RunsAt(&'static [At]),
    LeftOut(&'static str),
}

use At::{Everything, Example, Sessions};
use Fate::{LeftOut, RunsAt};

/// Any server has it.
const ANY: Fate = RunsAt(&[Example, Everything, Sessions]);
/// It needs tools, prompts or resources of the suite's names, which the example does not have.
const NAMED: Fate = RunsAt(&[Everything, Sessions]);
/// It needs a server that asks its client, or remembers it, between requests.
const WITH_SESSIONS: Fate = RunsAt(&[Sessions]);
const TASKS: Fate = LeftOut(
    "the extension io.modelcontextprotocol/tasks is the business of the MCP server; ours offers none, and the suite's own \
     server does not pass it either",
);
const SKILLS: Fate = LeftOut("the extension of skills is the business of the MCP server; ours offers none");

/// The authorization server's scenarios all run, as a public client: given a secret, the suite would not send it to a server
/// that takes public clients, too (it prefers `none` wherever that is announced), and be refused.
pub(crate) const AUTHORIZATION: [&str; 2] = ["authorization-server-metadata-endpoint", "authorization-code-grant"];

/// The scenarios for servers, in the order of the suite. Each runs with every version that it applies to.
pub(crate) const SERVER: &[(&str, Fate)] = &[
    ("server-initialize", ANY),
    ("server-session-lifecycle", WITH_SESSIONS),
    ("server-stateless", NAMED),
    ("logging-set-level", NAMED),
    ("ping", ANY),
    ("completion-complete", ANY),
    ("tools-list", ANY),
    ("tools-call-simple-text", NAMED),
    ("tools-call-image", NAMED),
    ("tools-call-audio", NAMED),
    ("tools-call-embedded-resource", NAMED),
    ("tools-call-mixed-content", NAMED),
    ("tools-call-with-logging", NAMED),
    ("tools-call-error", NAMED),
    ("tools-call-with-progress", NAMED),
    ("tools-call-sampling", WITH_SESSIONS),
    ("tools-call-elicitation", WITH_SESSIONS),
    ("json-schema-2020-12", NAMED),
    ("elicitation-sep1034-defaults", WITH_SESSIONS),
    ("server-sse-polling", WITH_SESSIONS),
    // In 2025-11-25 it looks at nothing where there is no session.
    ("server-sse-multiple-streams", WITH_SESSIONS),
    ("elicitation-sep1330-enums", WITH_SESSIONS),
    ("resources-list", ANY),
    ("resources-read-text", NAMED),
    ("resources-read-binary", NAMED),
    ("resources-templates-read", NAMED),
    ("resources-subscribe", NAMED),
    ("resources-unsubscribe", NAMED),
    ("sep-2164-resource-not-found", NAMED),
    ("sep-2640-skills-directory", SKILLS),
    ("sep-2640-skills-enumeration", SKILLS),
    ("sep-2640-skills-manifest", SKILLS),
    ("prompts-list", ANY),
    ("prompts-get-simple", NAMED),
    ("prompts-get-with-args", NAMED),
    ("prompts-get-embedded-resource", NAMED),
    ("prompts-get-with-image", NAMED),
    ("dns-rebinding-protection", ANY),
    ("caching", ANY),
    ("http-header-validation", ANY),
    ("http-custom-header-server-validation", NAMED),
    ("tasks-lifecycle", TASKS),
    ("tasks-capability-negotiation", TASKS),
    ("tasks-wire-fields", TASKS),
    ("tasks-request-state-removal", TASKS),
    ("tasks-mrtr-input", TASKS),
    ("tasks-request-headers", TASKS),
    ("tasks-dispatch-and-envelope", TASKS),
    ("tasks-status-notifications", TASKS),
    ("tasks-required-task-error", TASKS),
    ("tasks-mrtr-composition", TASKS),
    ("input-required-result-basic-elicitation", NAMED),
    ("input-required-result-basic-sampling", NAMED),
    ("input-required-result-basic-list-roots", NAMED),
    ("input-required-result-request-state", NAMED),
    ("input-required-result-multiple-input-requests", NAMED),
    ("input-required-result-multi-round", NAMED),
    ("input-required-result-missing-input-response", NAMED),
    ("input-required-result-non-tool-request", NAMED),
    ("input-required-result-result-type", NAMED),
    ("input-required-result-unsupported-methods", NAMED),
    ("input-required-result-tampered-state", NAMED),
    ("input-required-result-capability-check", NAMED),
    ("input-required-result-ignore-extra-params", NAMED),
    ("input-required-result-validate-input", NAMED),
];
