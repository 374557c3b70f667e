//! Who may send: bearer tokens and users with passwords, compared in constant time.
//!
//! A credential for us is ours: the header that carried it does not travel on with the data. A caller that
//! also has one for the upstream shows ours in `proxy-authorization`, and `authorization` travels.
//!
//! What may be learnt from the time it takes is how long known credentials are, and nothing of what is in
//! them.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue, PROXY_AUTHORIZATION};
use subtle::{Choice, ConstantTimeEq};

use super::refusal::Refusal;
use crate::follow::{File, Followed, Reading};

/// Bytes of a file of credentials: far more than anyone lists by hand.
const FILE_MAX: u64 = 1 << 20;

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("*****")
    }
}

/// Whose requests are taken. Everyone's who has any one of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialSettings {
    pub bearer: Vec<Secret>,
    /// One token a line; empty lines and those that begin with `#` say nothing.
    pub bearer_file: Option<PathBuf>,
    pub basic: Vec<(String, Secret)>,
    /// `user:password` a line, otherwise alike.
    pub basic_file: Option<PathBuf>,
}

/// What is accepted now.
#[derive(Debug)]
pub struct Credentials {
    known: Arc<Followed<Known>>,
    challenge: HeaderValue,
}

/// All credentials that let a caller in.
pub struct Known {
    tokens: Vec<Secret>,
    /// `user:password`.
    users: Vec<Secret>,
}

/// Where a caller showed what lets it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Nowhere, as none is asked for, or in a header that never travels on.
    Apart,
    /// In `authorization`, which must not travel on.
    InAuthorization,
}

impl Credentials {
    /// # Errors
    /// In words: a file can not be read, or a line of it is no credential.
    pub fn new(settings: CredentialSettings) -> Result<Self, String> {
        let bearer = !settings.bearer.is_empty() || settings.bearer_file.is_some();
        let basic = !settings.basic.is_empty() || settings.basic_file.is_some();
        let challenge = HeaderValue::from_static(match (bearer, basic) {
            (_, false) => "Bearer realm=\"spandrel\"",
            (false, true) => "Basic realm=\"spandrel\", charset=\"UTF-8\"",
            (true, true) => "Bearer realm=\"spandrel\", Basic realm=\"spandrel\", charset=\"UTF-8\"",
        });
        let known = Followed::new(Box::new(move || {
            let files = settings.bearer_file.iter().chain(&settings.basic_file);
            // Before reading: what changes meanwhile is seen as changed.
            let files = files.cloned().map(File::now).collect();
            Reading { files, value: read(&settings).map(Some) }
        }))?;
        Ok(Self { known: Arc::new(known), challenge })
    }

    /// # Errors
    /// The caller shows nothing that lets it in.
    pub fn check(&self, headers: &HeaderMap) -> Result<Shown, Refusal> {
        let known = self.known.current();
        let places = [(PROXY_AUTHORIZATION, Shown::Apart), (AUTHORIZATION, Shown::InAuthorization)];
        let mut why = "no credentials were sent";
        for (name, shown) in places {
            for value in headers.get_all(name) {
                if known.holds(value.as_bytes()) {
                    return Ok(shown);
                }
                why = "the credentials are not known here";
            }
        }
        Err(Refusal::Unauthenticated { why, challenge: self.challenge.clone() })
    }

    /// What follows the files.
    pub fn followed(&self) -> Arc<Followed<Known>> {
        self.known.clone()
    }
}

impl Known {
    fn holds(&self, value: &[u8]) -> bool {
        let Some(at) = value.iter().position(|&b| b == b' ') else { return false };
        let (scheme, shown) = value.split_at(at);
        let shown = shown.trim_ascii();
        if scheme.eq_ignore_ascii_case(b"bearer") {
            return is_among(&self.tokens, shown);
        }
        let user = scheme.eq_ignore_ascii_case(b"basic").then(|| BASE64_STANDARD.decode(shown).ok());
        user.flatten().is_some_and(|user| is_among(&self.users, &user))
    }
}

/// Looks at all of them, whichever it is.
fn is_among(known: &[Secret], shown: &[u8]) -> bool {
    let none = Choice::from(0);
    known.iter().fold(none, |found, secret| found | secret.0.as_bytes().ct_eq(shown)).into()
}

fn read(settings: &CredentialSettings) -> Result<Known, String> {
    let mut known = Known {
        tokens: settings.bearer.clone(),
        users: settings.basic.iter().map(|(user, password)| pair(user, &password.0)).collect(),
    };
    if let Some(path) = &settings.bearer_file {
        let setting = "receive.auth.bearer_file";
        let of_line = |line: &str| match line.contains(char::is_whitespace) {
            true => Err("has blanks in it; a line is one token"),
            false => Ok(Secret(line.to_owned())),
        };
        known.tokens.extend(lines(path, setting, of_line)?);
    }
    if let Some(path) = &settings.basic_file {
        let setting = "receive.auth.basic_file";
        let of_line = |line: &str| match line.split_once(':') {
            Some((user, password)) if !user.is_empty() && !password.is_empty() => Ok(pair(user, password)),
            _ => Err("is not `user:password`"),
        };
        known.users.extend(lines(path, setting, of_line)?);
    }
    Ok(known)
}

fn pair(user: &str, password: &str) -> Secret {
    Secret(format!("{user}:{password}"))
}

/// The credentials of a file. Lines are named by number, never shown.
fn lines(
    path: &Path,
    setting: &str,
    of_line: impl Fn(&str) -> Result<Secret, &'static str>,
) -> Result<Vec<Secret>, String> {
    let wrong = |what: &dyn fmt::Display| format!("{setting} `{}` can not be used: {what}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(&error))?;
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    if text.len() as u64 > FILE_MAX {
        return Err(wrong(&"it is larger than 1MiB"));
    }
    let mut found = Vec::new();
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if !line.is_empty() && !line.starts_with('#') {
            found.push(of_line(line).map_err(|what| wrong(&format_args!("line {number} {what}")))?);
        }
    }
    match found.is_empty() {
        true => {
            Err(wrong(&"it holds no credentials, so nobody could send; add a line or leave the setting out"))
        }
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials() -> Credentials {
        Credentials::new(CredentialSettings {
            bearer: vec![Secret("token-one".into()), Secret("token-two".into())],
            basic: vec![("ada".into(), Secret("love:lace".into()))],
            ..CredentialSettings::default()
        })
        .unwrap()
    }

    fn shows(headers: &[(&'static str, &str)]) -> Result<Shown, &'static str> {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        credentials().check(&headers.collect()).map_err(|refusal| match refusal {
            Refusal::Unauthenticated { why, .. } => why,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn any_one_credential_lets_in_whatever_the_case_of_its_scheme() {
        let basic = format!("Basic {}", BASE64_STANDARD.encode("ada:love:lace"));
        for good in ["Bearer token-one", "bearer token-two", "BEARER  token-two ", &basic] {
            assert_eq!(shows(&[("authorization", good)]), Ok(Shown::InAuthorization), "{good}");
            assert_eq!(shows(&[("proxy-authorization", good)]), Ok(Shown::Apart), "{good}");
        }
        let both =
            [("authorization", "Bearer for-the-upstream"), ("proxy-authorization", "Bearer token-one")];
        assert_eq!(shows(&both), Ok(Shown::Apart));
    }

    #[test]
    fn nothing_else_does() {
        let wrong = format!("Basic {}", BASE64_STANDARD.encode("ada:love"));
        let bare = format!("Basic {}", BASE64_STANDARD.encode("token-one"));
        let near =
            ["Bearer token-on", "Bearer token-one1", "Bearer ", "Bearer", "token-one", "Basic token-one"];
        for bad in near.into_iter().chain([wrong.as_str(), &bare, "Basic \u{e9}", ""]) {
            assert_eq!(shows(&[("authorization", bad)]), Err("the credentials are not known here"), "{bad}");
        }
        assert_eq!(shows(&[]), Err("no credentials were sent"));
    }

    #[test]
    fn a_file_names_its_lines_and_never_shows_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        let of = |text: &str, basic: bool| {
            std::fs::write(&path, text).unwrap();
            let file = Some(path.clone());
            let (bearer_file, basic_file) = if basic { (None, file) } else { (file, None) };
            Credentials::new(CredentialSettings { bearer_file, basic_file, ..Default::default() }).map(drop)
        };
        assert_eq!(of("# ours\n\n one \ntwo\n", false), Ok(()));
        assert_eq!(of("ada:lovelace\n", true), Ok(()));
        for (text, basic, says) in [
            ("one\nhunter 2\n", false, "line 2 has blanks in it"),
            ("hunter2", true, "line 1 is not `user:password`"),
            ("hunter2:", true, "line 1 is not `user:password`"),
            ("# none\n", false, "holds no credentials"),
        ] {
            let wrong = of(text, basic).unwrap_err();
            assert!(wrong.contains(says) && !wrong.contains("hunter"), "{wrong}");
        }
        let settings = CredentialSettings { bearer: vec![Secret("hunter2".into())], ..Default::default() };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
