//! How long an answer may be kept by its own headers (RFC 9111, sections 4.2.1 and 5.2.2).

use std::time::{Duration, UNIX_EPOCH};

use http::{
    HeaderMap, HeaderName,
    header::{AGE, CACHE_CONTROL, EXPIRES},
};

use authchain::core::Timestamp;

/// What the headers allow; `None` where they say nothing.
pub(super) fn freshness(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let directives: Vec<String> = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|directive| directive.trim().to_ascii_lowercase())
        .collect();
    if directives.iter().any(|d| matches!(d.as_str(), "no-store" | "no-cache") || d.starts_with("no-cache=")) {
        return Some(Duration::ZERO);
    }
    let max_age = directives.iter().find_map(|d| d.strip_prefix("max-age=")?.trim_matches('"').parse().ok());
    if let Some(seconds) = max_age {
        let age = text(headers, AGE).and_then(|age| age.parse().ok()).unwrap_or(0);
        return Some(Duration::from_secs(u64::saturating_sub(seconds, age)));
    }
    let expires = text(headers, EXPIRES)?;
    // "0" and other nonsense mean: stale already.
    let at = httpdate::parse_http_date(expires).ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let at = at.and_then(|at| i64::try_from(at.as_secs()).ok()).unwrap_or(0);
    Some(Timestamp(at).since(now))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pairs: &[(HeaderName, &str)]) -> Option<u64> {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        freshness(&headers, Timestamp(784_111_770)).map(|span| span.as_secs())
    }

    #[test]
    fn n05_the_headers_say_how_long_an_answer_may_be_kept() {
        assert_eq!(seconds(&[]), None);
        assert_eq!(seconds(&[(CACHE_CONTROL, "public, Max-Age=600")]), Some(600));
        assert_eq!(seconds(&[(CACHE_CONTROL, "max-age=600"), (AGE, "100")]), Some(500));
        assert_eq!(seconds(&[(CACHE_CONTROL, "max-age=600"), (AGE, "1000")]), Some(0));
        for stale in ["no-store", "no-cache", "no-cache=\"x\", max-age=600", "max-age=600, No-Store"] {
            assert_eq!(seconds(&[(CACHE_CONTROL, stale)]), Some(0), "{stale}");
        }
        assert_eq!(seconds(&[(EXPIRES, "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(7));
        assert_eq!(seconds(&[(EXPIRES, "0")]), Some(0));
        assert_eq!(seconds(&[(CACHE_CONTROL, "max-age=5"), (EXPIRES, "0")]), Some(5));
    }
}
