//! Where other programs keep their files when nobody tells them otherwise.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// A place, and which program keeps something there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WellKnown {
    /// The program.
    pub program: &'static str,
    /// A file or a folder, which may not exist.
    pub path: PathBuf,
}

/// The places that are worth a look. `variable` is the environment, `here` the current folder.
pub fn well_known(variable: impl Fn(&str) -> Option<OsString>, here: &Path) -> Vec<WellKnown> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = |below: &str| set("HOME").map(|home| home.join(below));
    let config = |below: &str| set("XDG_CONFIG_HOME").map(|dir| dir.join(below));
    let data = |below: &str| set("XDG_DATA_HOME").map(|dir| dir.join(below));
    let all = [
        ("google_workspace_mcp", set("WORKSPACE_MCP_CREDENTIALS_DIR")),
        ("google_workspace_mcp", set("GOOGLE_MCP_CREDENTIALS_DIR")),
        ("google_workspace_mcp", home(".google_workspace_mcp/credentials")),
        ("google_workspace_mcp", Some(here.join(".credentials"))),
        ("an earlier server", set("CREDENTIALS_DIR")),
        ("an earlier server", Some(here.join("credentials"))),
        ("google-auth", Some(here.join("token.json"))),
        ("yup-oauth2", Some(here.join("tokencache.json"))),
        ("gcloud", set("GOOGLE_APPLICATION_CREDENTIALS")),
        ("gcloud", set("CLOUDSDK_CONFIG").map(|dir| dir.join("application_default_credentials.json"))),
        ("gcloud", home(".config/gcloud/application_default_credentials.json")),
        ("gws", set("GOOGLE_WORKSPACE_CLI_CONFIG_DIR")),
        ("gws", home(".config/gws")),
        ("rclone", set("RCLONE_CONFIG")),
        ("rclone", config("rclone/rclone.conf")),
        ("rclone", home(".config/rclone/rclone.conf")),
        ("rclone", home(".rclone.conf")),
        ("FastMCP", set("FASTMCP_HOME").map(|dir| dir.join("oauth-proxy"))),
        ("FastMCP", data("fastmcp/oauth-proxy")),
        ("FastMCP", home(".local/share/fastmcp/oauth-proxy")),
    ];
    let mut places: Vec<WellKnown> = Vec::new();
    for (program, path) in all {
        if let Some(path) = path
            && !places.iter().any(|place| place.path == path)
        {
            places.push(WellKnown { program, path });
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_named_by_its_variable_or_lies_in_the_home_and_comes_once() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/ann".into()),
            "XDG_CONFIG_HOME" => Some("/home/ann/.config".into()),
            "RCLONE_CONFIG" => Some(OsString::new()),
            "CREDENTIALS_DIR" => Some("/srv/credentials".into()),
            _ => None,
        };
        let places = well_known(variable, Path::new("/srv/here"));
        let of = |program: &str| -> Vec<String> {
            let of = places.iter().filter(|place| place.program == program);
            of.map(|place| place.path.display().to_string()).collect()
        };
        assert_eq!(of("rclone"), ["/home/ann/.config/rclone/rclone.conf", "/home/ann/.rclone.conf"]);
        assert_eq!(of("an earlier server"), ["/srv/credentials", "/srv/here/credentials"]);
        assert_eq!(of("gcloud"), ["/home/ann/.config/gcloud/application_default_credentials.json"]);
        assert_eq!(well_known(|_| None, Path::new("/srv/here")).len(), 4, "without a home only what lies here");
    }
}
