//! Links to traces in the UI of the platform that they go to.
//!
//! `{url}/project/{project}/traces/{trace}`, as the SDKs' `get_trace_url` makes them. Nobody is asked: the
//! project's id is a setting, because a link must not wait for a server.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use thiserror::Error;

use crate::wire::TraceId;

/// Kept as they are in one segment of a path (RFC 3986, unreserved characters).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where people look at traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// The UI's base URL, without a slash at its end.
    pub url: Option<String>,
    pub project: Option<String>,
}

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoLink {
    #[error("where the UI is is not known; set `ui.url`, or LANGFUSE_BASE_URL or INTERACTIVEAI_BASE_URL")]
    Url,
    #[error(
        "the project's id is not known; set `ui.project` to the `id` that GET {url}/api/public/projects \
         shows with the project's keys"
    )]
    Project { url: String },
}

impl Links {
    /// # Errors
    /// Names the setting that is missing.
    pub fn of(&self, trace: TraceId) -> Result<String, NoLink> {
        let url = self.url.as_deref().ok_or(NoLink::Url)?;
        let project = self.project.as_deref().ok_or_else(|| NoLink::Project { url: url.to_owned() })?;
        Ok(format!("{url}/project/{}/traces/{trace}", utf8_percent_encode(project, SEGMENT)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: Option<&str>, project: Option<&str>, expect: Result<&str, &str>) {
        let links = Links { url: url.map(str::to_owned), project: project.map(str::to_owned) };
        let got = links.of(TraceId([0xab; 16])).map_err(|none| none.to_string());
        assert_eq!(got.as_deref().map_err(String::as_str), expect);
    }

    #[test]
    fn a_link_names_the_project_and_the_trace() {
        let id = "abababababababababababababababab";
        let expect = format!("https://lf.example.com/base/project/p1/traces/{id}");
        check(Some("https://lf.example.com/base"), Some("p1"), Ok(&expect));
        let expect = format!("http://lf/project/a%2Fb%20c/traces/{id}");
        check(Some("http://lf"), Some("a/b c"), Ok(&expect));
    }

    #[test]
    fn what_is_missing_is_named() {
        let unknown =
            "where the UI is is not known; set `ui.url`, or LANGFUSE_BASE_URL or INTERACTIVEAI_BASE_URL";
        check(None, Some("p1"), Err(unknown));
        let unknown = "the project's id is not known; set `ui.project` to the `id` that GET \
                       http://lf/api/public/projects shows with the project's keys";
        check(Some("http://lf"), None, Err(unknown));
    }
}
