//! The server edge: from the table to its settings, or what is wrong with them.

use super::check::{Check, show};
use super::field::Slot;
use super::mistake::quoted;
use super::raw::{self, Raw};
use super::source::Source;
use super::words::{Scope, Size};
use crate::receive::{self, Age, CredentialSettings, Listen, Secret, TlsFiles};
use crate::wire::Signals;

/// What is in flight when a connection has reached its age may finish within this.
const AGE_GRACE: std::time::Duration = std::time::Duration::from_secs(30);

impl Check<'_> {
    pub(super) fn edge(&mut self, raw: &Raw, listen: Vec<Listen>, memory: usize) -> receive::Settings {
        let settings = receive::Settings {
            unix_mode: raw.receive.unix_mode.value.map(|mode| mode.0),
            tls: self.server_tls(&raw.receive.tls),
            credentials: self.credentials(&raw.receive.auth),
            cors: self.cors(raw),
            age: raw.receive.max_connection_age.value.map(|max| Age { max, grace: AGE_GRACE }),
            request_max: self.request_max(raw, memory),
            response_max: raw.receive.max_response.value.0,
            lenient_json: raw.receive.lenient_json.value,
            connections_max: raw.receive.max_connections.value,
            timeouts: timeouts(&raw.receive.timeouts),
            join: raw.join.scope.value != Scope::Off,
            // Only the upstreams say.
            signals: Signals::ALL,
            traces_at: None,
            notes: false,
            evaluations: false,
            listen,
        };
        self.exposed(&settings);
        settings
    }

    fn server_tls(&mut self, tls: &raw::ServerTls) -> Option<TlsFiles> {
        let raw::ServerTls { cert_file, key_file, client_ca_file } = tls;
        match (&cert_file.value, &key_file.value) {
            (Some(cert), Some(key)) => {
                let (cert, key) = (cert.clone(), key.clone());
                return Some(TlsFiles { cert, key, client_ca: client_ca_file.value.clone() });
            }
            (Some(_), None) => {
                self.note(&cert_file.from, "`receive.tls.cert_file` needs a `key_file` beside it");
            }
            (None, Some(_)) => {
                self.note(&key_file.from, "`receive.tls.key_file` needs a `cert_file` beside it");
            }
            (None, None) if client_ca_file.value.is_some() => {
                let text = "`receive.tls.client_ca_file` needs a `cert_file` and a `key_file` beside it";
                self.note(&client_ca_file.from, text);
            }
            (None, None) => {}
        }
        None
    }

    /// Values are never quoted. One that is empty would let in whoever sends nothing.
    fn credentials(&mut self, auth: &raw::Auth) -> Option<CredentialSettings> {
        let wrong = |token: &str| match token {
            "" => Some("is empty"),
            token if token.contains(char::is_whitespace) => Some("has blanks in it"),
            _ => None,
        };
        // Emptied by a variable that is not set, say: then nobody would be asked for anything.
        if auth.bearer.entries.is_empty() && auth.bearer.from != Source::Default {
            let text = "`receive.auth.bearer`: no token is given, so whoever reaches a listener could send; \
                        give one or leave `bearer` out";
            self.note(&auth.bearer.from, text);
        }
        for (token, from) in &auth.bearer.entries {
            if let Some(wrong) = wrong(token) {
                self.note(from, format!("`receive.auth.bearer`: a token {wrong}"));
            }
        }
        for (user, password) in &auth.basic.entries {
            let path = format!("`receive.auth.basic.{user}`");
            let noted = self.mistakes.iter().any(|mistake| mistake.text.starts_with(&path));
            if password.value.is_empty() && !noted {
                self.note(&password.from, format!("{path}: the password is empty"));
            }
            if user.contains(':') {
                let text =
                    format!("`receive.auth.basic`: {} has a colon, which no user may have", quoted(user));
                self.note(&password.from, text);
            }
        }
        let secret = |slot: &Slot<String>| Secret(slot.value.clone());
        let settings = CredentialSettings {
            bearer: auth.bearer.entries.iter().map(|(token, _)| Secret(token.clone())).collect(),
            bearer_file: auth.bearer_file.value.clone(),
            basic: auth.basic.entries.iter().map(|(user, slot)| (user.clone(), secret(slot))).collect(),
            basic_file: auth.basic_file.value.clone(),
        };
        (settings != CredentialSettings::default()).then_some(settings)
    }

    /// Origins as browsers write them, so that they can be compared byte for byte.
    fn cors(&mut self, raw: &Raw) -> Vec<String> {
        let mut origins = Vec::new();
        for (origin, from) in &raw.receive.cors.entries {
            let origin = origin.to_ascii_lowercase();
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            if origin != "*" && (host.is_empty() || host.contains(['/', '*', ' '])) {
                let hint =
                    "write it like `https://shop.example.com` or `http://localhost:3000`, without a path";
                self.note(from, format!("`receive.cors`: {} is not an origin; {hint}", quoted(&origin)));
            }
            origins.push(origin);
        }
        origins
    }

    /// What anybody may do to a listener that others can reach, said once at start.
    fn exposed(&mut self, settings: &receive::Settings) {
        let asks_who = settings.credentials.is_some()
            || settings.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        for listen in &settings.listen {
            let Listen::Tcp(address) = listen else { continue };
            if address.ip().is_loopback() {
                continue;
            }
            if !asks_who {
                self.notes.push(format!(
                    "whoever reaches {listen} may send: it is not a loopback address and asks for no \
                     credentials; set `receive.auth` or `receive.tls.client_ca_file`, or listen on 127.0.0.1"
                ));
            } else if settings.credentials.is_some() && settings.tls.is_none() {
                self.notes.push(format!(
                    "credentials travel to {listen} in the clear; set `receive.tls`, unless something in front \
                     of it ends TLS"
                ));
            }
        }
        if settings.cors.iter().any(|origin| origin == "*") {
            self.notes.push("`receive.cors` is `*`: any web page a user opens may send".to_owned());
        }
    }

    /// A request larger than all memory could never be taken, and telling its caller to try again later
    /// would be a lie: it is refused for its size instead.
    fn request_max(&mut self, raw: &Raw, memory: usize) -> usize {
        let asked = &raw.receive.max_request;
        if asked.value.0 > memory && asked.from != Source::Default {
            let (asked, memory) = (show(&asked.value), show(&Size(memory)));
            self.notes.push(format!(
                "requests above {memory} are refused: `receive.max_request` {asked} is more than `memory`"
            ));
        }
        asked.value.0.min(memory)
    }
}

fn timeouts(raw: &raw::Timeouts) -> receive::Timeouts {
    let raw::Timeouts { head, body, request, idle } = raw;
    receive::Timeouts { head: head.value, body: body.value, request: request.value, idle: idle.value }
}
