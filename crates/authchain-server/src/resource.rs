//! Which resource a client means: several spellings of one address, compared canonically (RFC 8707, section 2; number 14
//! of the checklist).

use url::Url;

/// Whether `asked` names our resource: scheme and host in any case, default port or none, one trailing slash more or less,
/// and a query that the resource itself does not have (clients add the query of the URL that they were configured with).
/// A fragment, a user name and another path never match.
pub(crate) fn names(resource: &Url, asked: &str) -> bool {
    let Ok(asked) = Url::parse(asked) else { return false };
    asked.fragment().is_none()
        && asked.username().is_empty()
        && asked.password().is_none()
        && asked.scheme() == resource.scheme()
        && asked.host() == resource.host()
        && asked.port_or_known_default() == resource.port_or_known_default()
        && without_slash(asked.path()) == without_slash(resource.path())
        && (resource.query().is_none() || asked.query() == resource.query())
}

/// An address as an operator wrote it, without the slash that URL libraries add to a bare host.
pub(crate) fn written(url: &Url) -> String {
    match url.path() {
        "/" => url.as_str().trim_end_matches('/').into(),
        _ => url.as_str().into(),
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// Whether all that a client names is our resource. A client that names none means the only one there is.
pub(crate) fn all_name<'a>(resource: &Url, mut asked: impl Iterator<Item = &'a str>) -> bool {
    asked.all(|asked| names(resource, asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mcp() -> Url {
        Url::parse("https://mcp.example.com/mcp").unwrap()
    }

    #[test]
    fn n14_several_spellings_are_one_resource() {
        for same in [
            "https://mcp.example.com/mcp",
            "https://mcp.example.com/mcp/",
            "HTTPS://MCP.Example.COM/mcp",
            "https://mcp.example.com:443/mcp",
            "https://mcp.example.com/mcp?utm_source=plugin",
            "https://mcp.example.com/x/../mcp",
        ] {
            assert!(names(&mcp(), same), "{same}");
        }
    }

    #[test]
    fn n14_another_resource_is_foreign() {
        for other in [
            "https://mcp.example.com",
            "https://mcp.example.com/",
            "https://mcp.example.com/MCP",
            "https://mcp.example.com/mcp//",
            "https://mcp.example.com/mcp/x",
            "https://mcp.example.com:8443/mcp",
            "http://mcp.example.com/mcp",
            "https://evil.example.com/mcp",
            "https://mcp.example.com.evil.com/mcp",
            "https://mcp.example.com@evil.com/mcp",
            "https://user@mcp.example.com/mcp",
            "https://mcp.example.com/mcp#fragment",
            "mcp.example.com/mcp",
            "/mcp",
            "",
        ] {
            assert!(!names(&mcp(), other), "{other}");
        }
    }

    #[test]
    fn a_bare_host_has_no_path_of_its_own() {
        let host = Url::parse("https://mcp.example.com").unwrap();
        assert!(names(&host, "https://mcp.example.com") && names(&host, "https://mcp.example.com/"));
        assert!(!names(&host, "https://mcp.example.com/mcp"));
    }

    #[test]
    fn a_query_of_the_resource_itself_counts() {
        let tenant = Url::parse("https://mcp.example.com/mcp?tenant=1").unwrap();
        assert!(names(&tenant, "https://mcp.example.com/mcp?tenant=1"));
        assert!(!names(&tenant, "https://mcp.example.com/mcp?tenant=2"));
        assert!(!names(&tenant, "https://mcp.example.com/mcp"));
    }

    #[test]
    fn n14_one_foreign_resource_among_several_is_foreign() {
        assert!(all_name(&mcp(), [].into_iter()));
        assert!(all_name(&mcp(), ["https://mcp.example.com/mcp", "https://mcp.example.com/mcp/"].into_iter()));
        assert!(!all_name(&mcp(), ["https://mcp.example.com/mcp", "https://other.example.com/"].into_iter()));
    }
}
