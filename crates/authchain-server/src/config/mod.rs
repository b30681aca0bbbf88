//! Configuration: one typed structure, made at the start from `config/default.toml`, a file, the environment and flags.

mod load;
mod sections;
mod validate;

pub use load::{ConfigError, Sources};
pub use sections::{
    ChainSection, ClientsSection, Config, DevSection, GoogleSection, IssuerSection, JwtSection, LocalSection,
    LogFormat, LogSection, Providers, RefreshSection, ServerSection, ServicesSection, SessionSection, StorageSection,
    TokensSection,
};
