//! Configuration: one typed structure, made at the start from `config/default.toml`, a file, the environment and flags.

mod legacy;
mod load;
mod sections;
mod settings;
mod validate;

pub use load::{ConfigError, Sources};
pub(crate) use sections::below;
pub use sections::{
    AssertionIssuerSection, ChainSection, ClientsSection, CompatSection, Config, ConsentSection, CredentialKind,
    DevSection, ExchangeAudienceSection, ExchangeClientSection, GoogleApisSection, GoogleSection, GrantsSection,
    IssuerSection, JwtSection, LimitsSection, LocalSection, LogFormat, LogSection, Providers, RefreshSection,
    RegisteredSection, RememberedFor, ServerSection, ServicesSection, SessionSection, StepUpBy, StorageSection,
    TlsSection, TokensSection,
};
pub use settings::Setting;
