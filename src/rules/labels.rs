//! Environment, release and static attributes, written on every resource that lacks them.

/// What to write. Empty strings are never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub environment: Option<String>,
    pub release: Option<String>,
    /// The attribute the release is written as.
    pub release_key: String,
    /// Also write the deprecated `deployment.environment`.
    pub legacy_environment: bool,
    /// Further static resource attributes.
    pub resource: Vec<(String, String)>,
    /// Overwrite what resources say themselves.
    pub enforce: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            environment: None,
            release: None,
            release_key: "service.version".to_owned(),
            legacy_environment: false,
            resource: Vec::new(),
            enforce: false,
        }
    }
}
