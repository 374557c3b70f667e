//! What stands around a span and speaks for it: its resource and its scope, read once for all their spans.

use super::{RESOURCE_ATTRIBUTES, environment};
use crate::wire::attr::{Attr, Value, messages};

/// What SDKs put when nobody names the service (OpenTelemetry resource semantic conventions).
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// A reading of one resource and one scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Around<'a> {
    /// By the keys of [`environment::KEYS`].
    pub environment: [Option<&'a str>; environment::KEYS.len()],
    /// `langfuse.release`.
    pub release: Option<&'a str>,
    /// `service.version`.
    pub service_version: Option<&'a str>,
    /// `service.name`.
    pub service: Option<&'a str>,
    /// `telemetry.sdk.language`.
    pub language: Option<&'a str>,
    /// `InstrumentationScope.name`.
    pub scope: Option<&'a str>,
}

impl<'a> Around<'a> {
    /// Reads the bodies of Resource and InstrumentationScope messages. Several of either in one block are
    /// legal and merge; the last that says a thing wins.
    pub fn of(resources: impl Iterator<Item = &'a [u8]>, scopes: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut around = Self::default();
        for key_value in resources.flat_map(|resource| messages(resource, RESOURCE_ATTRIBUTES)) {
            if let Some(place) = around.place(Attr::key_of(key_value))
                && let Value::Str(text) = Attr::of(key_value).value
                && let Some(text) = said(text)
            {
                *place = Some(text);
            }
        }
        around.scope = scopes.flat_map(|scope| messages(scope, 1)).filter_map(said).last();
        around
    }

    fn place(&mut self, key: &[u8]) -> Option<&mut Option<&'a str>> {
        match key {
            b"langfuse.release" => Some(&mut self.release),
            b"service.version" => Some(&mut self.service_version),
            b"service.name" => Some(&mut self.service),
            b"telemetry.sdk.language" => Some(&mut self.language),
            _ => {
                let at = environment::KEYS.iter().position(|known| known.as_bytes() == key)?;
                self.environment.get_mut(at)
            }
        }
    }
}

/// An empty string says nothing.
fn said(text: &[u8]) -> Option<&str> {
    std::str::from_utf8(text).ok().filter(|text| !text.is_empty())
}
