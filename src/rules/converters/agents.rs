//! `UserAgent`: which program and which system an HTTP client says it is.
//!
//! The Collector asks some thousand regular expressions of the ua-parser project; they would take more memory
//! than all else here. This knows the programs that make up nearly all traffic, under the names that project
//! gives them, and calls the rest `Other`. A version is its first three numbers.

use super::{TEXT, pure};
use crate::rules::functions::{Converter, Given, must};
use crate::rules::map::Map;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

pub const CONVERTERS: &[Converter] =
    &[pure("UserAgent", &[must("value|user_agent", TEXT)], Types::MAP, user_agent)];

/// More of a name than anybody sends means nothing.
const LEN_MAX: usize = 2048;

/// A mark, what else must stand there, and whose it is. The first that fits counts: browsers name their
/// ancestors behind themselves.
static PROGRAMS: &[(&str, &str, &str)] = &[
    ("Googlebot/", "", "Googlebot"),
    ("bingbot/", "", "bingbot"),
    ("YandexBot/", "", "YandexBot"),
    ("Baiduspider/", "", "Baiduspider"),
    ("DuckDuckBot/", "", "DuckDuckBot"),
    ("AhrefsBot/", "", "AhrefsBot"),
    ("SemrushBot/", "", "SemrushBot"),
    ("Applebot/", "", "Applebot"),
    ("GPTBot/", "", "GPTBot"),
    ("ClaudeBot/", "", "ClaudeBot"),
    ("facebookexternalhit/", "", "FacebookBot"),
    ("EdgiOS/", "", "Edge Mobile"),
    ("EdgA/", "", "Edge Mobile"),
    ("Edg/", "", "Edge"),
    ("Edge/", "", "Edge"),
    ("OPR/", "Mobile", "Opera Mobile"),
    ("OPR/", "", "Opera"),
    ("SamsungBrowser/", "", "Samsung Internet"),
    ("YaBrowser/", "", "Yandex Browser"),
    ("Vivaldi/", "", "Vivaldi"),
    ("Electron/", "", "Electron"),
    ("HeadlessChrome/", "", "HeadlessChrome"),
    ("CriOS/", "", "Chrome Mobile iOS"),
    ("FxiOS/", "", "Firefox iOS"),
    ("Chrome/", "; wv)", "Chrome Mobile WebView"),
    ("Chrome/", "Mobile", "Chrome Mobile"),
    ("Chromium/", "", "Chromium"),
    ("Chrome/", "", "Chrome"),
    ("Firefox/", "Mobile", "Firefox Mobile"),
    ("Firefox/", "", "Firefox"),
    ("Version/", "Mobile/", "Mobile Safari"),
    ("Version/", "Safari/", "Safari"),
    ("MSIE ", "", "IE"),
    ("Trident/", "rv:11", "IE"),
    ("Opera/", "", "Opera"),
    ("python-requests/", "", "Python Requests"),
    ("Python-urllib/", "", "Python-urllib"),
    ("aiohttp/", "", "Python aiohttp"),
    ("curl/", "", "curl"),
    ("Wget/", "", "Wget"),
    ("okhttp/", "", "okhttp"),
    ("Apache-HttpClient/", "", "Apache-HttpClient"),
    ("Go-http-client/", "", "Go-http-client"),
    ("axios/", "", "axios"),
    ("node-fetch/", "", "node-fetch"),
    ("PostmanRuntime/", "", "PostmanRuntime"),
    ("insomnia/", "", "insomnia"),
    ("Java/", "", "Java"),
    ("libwww-perl/", "", "libwww-perl"),
    ("kube-probe/", "", "kube-probe"),
    ("Prometheus/", "", "Prometheus"),
    ("ELB-HealthChecker/", "", "ELB-HealthChecker"),
    ("GoogleHC/", "", "GoogleHC"),
    ("grpc-go/", "", "grpc-go"),
];

/// A mark and the system; its version stands behind the mark.
static SYSTEMS: &[(&str, &str)] = &[
    ("Windows Phone ", "Windows Phone"),
    ("Windows NT ", "Windows"),
    ("iPhone OS ", "iOS"),
    ("CPU OS ", "iOS"),
    ("Mac OS X ", "Mac OS X"),
    ("Android ", "Android"),
    ("CrOS ", "Chrome OS"),
    ("Ubuntu", "Ubuntu"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
];

/// Windows by the version of its kernel.
const WINDOWS: [(&str, &str); 7] = [
    ("10.0", "10"),
    ("6.3", "8.1"),
    ("6.2", "8"),
    ("6.1", "7"),
    ("6.0", "Vista"),
    ("5.2", "XP"),
    ("5.1", "XP"),
];

fn user_agent<'a>(given: &mut Given<'_, 'a>) -> Result<Value<'a>, Trouble> {
    let original = given.text(0)?.into_owned();
    let cut = (0..=LEN_MAX.min(original.len())).rev().find(|end| original.is_char_boundary(*end));
    let text = original.get(..cut.unwrap_or(0)).unwrap_or_default();
    let program = PROGRAMS.iter().find(|(mark, also, _)| text.contains(mark) && text.contains(also));
    let (name, version) = match program {
        Some(("Trident/", _, name)) => (*name, "11".to_owned()),
        Some((mark, _, name)) => (*name, version(text, mark)),
        None => ("Other", String::new()),
    };
    let (system, system_version) = system(text);
    let mut map = Map::default();
    map.set("user_agent.name", Value::text(name));
    map.set("user_agent.version", Value::text(version));
    map.set("os.name", Value::text(system));
    if !system_version.is_empty() {
        map.set("os.version", Value::text(system_version));
    }
    map.set("user_agent.original", Value::text(original));
    Ok(Value::Map(map))
}

fn system(text: &str) -> (&'static str, String) {
    let Some((mark, name)) = SYSTEMS.iter().find(|(mark, _)| text.contains(mark)) else {
        return ("Other", String::new());
    };
    let version = match *name {
        "Windows" => {
            let kernel = version(text, mark);
            WINDOWS.iter().find(|(known, _)| *known == kernel).map_or(kernel, |(_, sold)| (*sold).to_owned())
        }
        // The processor stands before the version.
        "Chrome OS" => {
            let behind = text.split_once(mark).map_or("", |(_, behind)| behind);
            version(behind, " ")
        }
        "Ubuntu" | "Linux" | "FreeBSD" => String::new(),
        _ => version(text, mark),
    };
    (name, version)
}

/// The first three numbers behind `mark`, between points or, as Apple writes them, underscores.
fn version(text: &str, mark: &str) -> String {
    let behind = text.split_once(mark).map_or("", |(_, behind)| behind);
    let len = behind.find(|letter: char| !(letter.is_ascii_digit() || matches!(letter, '.' | '_')));
    let digits = behind.get(..len.unwrap_or(behind.len())).unwrap_or_default();
    let parts = digits.split(['.', '_']).filter(|part| !part.is_empty()).take(3);
    parts.collect::<Vec<_>>().join(".")
}
