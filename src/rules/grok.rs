//! Grok: regular expressions with names for parts everybody needs (`%{IP:client} %{NUMBER:bytes:int}`).
//!
//! The names are Logstash's and Elastic's, without the sets of single products; what they wrote with
//! look-around is written without, because ours is an engine that never looks twice.

use regex::Regex;

use super::map::Map;
use super::patterns;
use super::syntax::tree::{Call, Node};
use super::value::Value;

#[derive(Debug)]
pub struct Grok {
    pattern: Regex,
    /// Group name in the pattern, the key it fills, and what it is made.
    fields: Vec<(String, String, Make)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Make {
    Text,
    Int,
    Double,
    Bool,
}

/// Names in names; a pattern that needs more names itself.
const LEVELS_MAX: u32 = 16;
/// Bytes of a pattern with all names filled in.
const FILLED_MAX: usize = 64 << 10;

static KNOWN: &[(&str, &str)] = &[
    ("WORD", r"\b\w+\b"),
    ("NOTSPACE", r"\S+"),
    ("SPACE", r"\s*"),
    ("DATA", r".*?"),
    ("GREEDYDATA", r".*"),
    ("INT", r"[+-]?[0-9]+"),
    ("BASE10NUM", r"[+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)"),
    ("NUMBER", "%{BASE10NUM}"),
    ("BASE16NUM", r"[+-]?(?:0x)?[0-9A-Fa-f]+"),
    ("BASE16FLOAT", r"[+-]?(?:0x)?(?:[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]*)?|\.[0-9A-Fa-f]+)"),
    ("POSINT", r"[1-9][0-9]*"),
    ("NONNEGINT", r"[0-9]+"),
    ("BOOL", r"true|false"),
    ("QUOTEDSTRING", r#""(?:\\.|[^\\"])*"|'(?:\\.|[^\\'])*'|`(?:\\.|[^\\`])*`"#),
    ("QS", "%{QUOTEDSTRING}"),
    ("UUID", r"[A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}"),
    ("URN", r"urn:[0-9A-Za-z][0-9A-Za-z-]{0,31}:[0-9a-zA-Z()+,.:=@;$_!*'/?#-]+"),
    ("USERNAME", r"[a-zA-Z0-9._-]+"),
    ("USER", "%{USERNAME}"),
    ("EMAILLOCALPART", r"[a-zA-Z][a-zA-Z0-9_.+=:-]+"),
    ("EMAILADDRESS", "%{EMAILLOCALPART}@%{HOSTNAME}"),
    ("MAC", r"(?:[A-Fa-f0-9]{2}[:-]){5}[A-Fa-f0-9]{2}|(?:[A-Fa-f0-9]{4}\.){2}[A-Fa-f0-9]{4}"),
    ("IPV4", r"(?:(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"),
    ("IPV6", r"(?:[0-9A-Fa-f]{0,4}:){2,7}(?:%{IPV4}|[0-9A-Fa-f]{0,4})(?:%[0-9A-Za-z]+)?"),
    ("IP", "%{IPV6}|%{IPV4}"),
    ("HOSTNAME", r"\b[0-9A-Za-z][0-9A-Za-z-]{0,62}(?:\.[0-9A-Za-z][0-9A-Za-z-]{0,62})*\.?"),
    ("IPORHOST", "%{IP}|%{HOSTNAME}"),
    ("HOSTPORT", "(?:%{IPORHOST}):%{POSINT}"),
    ("UNIXPATH", r"(?:/[[:alnum:]_%!$@:.,+~-]*)+"),
    ("WINPATH", r"(?:[A-Za-z]+:|\\)(?:\\[^\\?*]*)+"),
    ("PATH", "%{UNIXPATH}|%{WINPATH}"),
    ("URIPROTO", r"[A-Za-z][A-Za-z0-9+.-]+"),
    ("URIHOST", r"(?:%{IPORHOST})(?::%{POSINT})?"),
    ("URIPATH", r"(?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_-]*)+"),
    ("URIPARAM", r"\?[A-Za-z0-9$.+!*'|(){},~@#%&/=:;_?\[\]<>-]*"),
    ("URIPATHPARAM", "%{URIPATH}(?:%{URIPARAM})?"),
    ("URI", r"%{URIPROTO}://(?:%{USER}(?::[^@]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?"),
    (
        "MONTH",
        r"\b(?:[Jj]an(?:uary)?|[Ff]eb(?:ruary)?|[Mm]ar(?:ch)?|[Aa]pr(?:il)?|[Mm]ay|[Jj]une?|[Jj]uly?|[Aa]ug(?:ust)?|[Ss]ep(?:tember)?|[Oo]ct(?:ober)?|[Nn]ov(?:ember)?|[Dd]ec(?:ember)?)\b",
    ),
    ("MONTHNUM", r"0?[1-9]|1[0-2]"),
    ("MONTHDAY", r"3[01]|[12][0-9]|0?[1-9]"),
    ("DAY", r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)(?:[a-z]{3,6})?"),
    ("YEAR", r"[0-9]{2}(?:[0-9]{2})?"),
    ("HOUR", r"2[0123]|[01]?[0-9]"),
    ("MINUTE", r"[0-5][0-9]"),
    ("SECOND", r"(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?"),
    ("TIME", "(?:%{HOUR}):(?:%{MINUTE})(?::(?:%{SECOND}))"),
    ("DATE_US", "(?:%{MONTHNUM})[/-](?:%{MONTHDAY})[/-](?:%{YEAR})"),
    ("DATE_EU", "(?:%{MONTHDAY})[./-](?:%{MONTHNUM})[./-](?:%{YEAR})"),
    ("DATE", "%{DATE_US}|%{DATE_EU}"),
    ("DATESTAMP", "(?:%{DATE})[- ](?:%{TIME})"),
    ("ISO8601_TIMEZONE", r"Z|[+-](?:%{HOUR})(?::?(?:%{MINUTE}))"),
    (
        "TIMESTAMP_ISO8601",
        "(?:%{YEAR})-(?:%{MONTHNUM})-(?:%{MONTHDAY})[T ](?:%{HOUR}):?(?:%{MINUTE})(?::?(?:%{SECOND}))?(?:%{ISO8601_TIMEZONE})?",
    ),
    ("TZ", r"[A-Z]{3,4}"),
    ("HTTPDATE", r"(?:%{MONTHDAY})/(?:%{MONTH})/(?:%{YEAR}):(?:%{TIME}) (?:%{INT})"),
    ("SYSLOGTIMESTAMP", "(?:%{MONTH}) +(?:%{MONTHDAY}) (?:%{TIME})"),
    ("PROG", r"[!-Z\\^-~]+"),
    (
        "LOGLEVEL",
        r"(?i:alert|trace|debug|notice|info(?:rmation)?|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|emerg(?:ency)?)",
    ),
    ("HTTPDUSER", "%{EMAILADDRESS}|%{USER}"),
    (
        "COMMONAPACHELOG",
        r#"%{IPORHOST:source.address} (?:-|%{HTTPDUSER:apache.access.user.identity}) (?:-|%{HTTPDUSER:user.name}) \[%{HTTPDATE:timestamp}\] "(?:%{WORD:http.request.method} %{NOTSPACE:url.original}(?: HTTP/%{NUMBER:http.version})?|%{DATA})" (?:-|%{INT:http.response.status_code:int}) (?:-|%{INT:http.response.body.bytes:int})"#,
    ),
];

impl Grok {
    /// The pattern of an `ExtractGrokPatterns` call, with the call's own definitions.
    ///
    /// # Errors
    /// An unknown name, one that leads to itself, and what [`patterns::compile`] refuses.
    pub fn of(pattern: &str, call: &Call) -> Result<Self, String> {
        let own = |argument: &super::syntax::tree::Argument| match &argument.name {
            Some((name, _)) => name.replace('_', "").eq_ignore_ascii_case("patterndefinitions"),
            None => false,
        };
        let positional = call.arguments.get(3).filter(|argument| argument.name.is_none());
        let own = call.arguments.iter().find(|argument| own(argument)).or(positional);
        let texts: Vec<&str> = match own.map(|argument| &argument.value.node) {
            Some(Node::List(all)) => all
                .iter()
                .filter_map(|one| if let Node::Text(t) = &one.node { Some(t.as_str()) } else { None })
                .collect(),
            _ => Vec::new(),
        };
        let split = |text: &&'_ str| text.split_once('=').is_some();
        if let Some(bad) = texts.iter().find(|text| !split(text)) {
            return Err(format!("`{bad}` is no definition; write NAME=pattern"));
        }
        let own: Vec<(&str, &str)> = texts.iter().filter_map(|text| text.split_once('=')).collect();
        let mut filling = Filling { own: &own, fields: Vec::new(), out: String::new() };
        filling.fill(pattern, 0)?;
        let pattern = patterns::compile(&filling.out)?;
        let mut fields = filling.fields;
        let plain =
            pattern.capture_names().flatten().filter(|name| !fields.iter().any(|(group, ..)| group == name));
        let plain: Vec<_> = plain.map(|name| (name.to_owned(), name.to_owned(), Make::Text)).collect();
        fields.extend(plain);
        Ok(Self { pattern, fields })
    }

    /// The keys that the pattern finds in `text`; none when it does not match. Empty finds are left out.
    pub fn find<'a>(&self, text: &str, named_only: bool) -> Map<'a> {
        let mut map = Map::default();
        let Some(captures) = self.pattern.captures(text) else { return map };
        for (group, key, make) in &self.fields {
            let is_named = !group.starts_with(UNNAMED);
            let found = captures.name(group).map(|found| found.as_str()).filter(|found| !found.is_empty());
            if let Some(found) = found.filter(|_| is_named || !named_only) {
                map.set(key.clone(), make.of(found));
            }
        }
        map
    }
}

impl Make {
    /// What can not be made stays text.
    fn of<'a>(self, text: &str) -> Value<'a> {
        let made = match self {
            Make::Text => None,
            Make::Int => text.parse().ok().map(Value::Int),
            Make::Double => text.parse().ok().map(Value::Double),
            Make::Bool => text.parse().ok().map(Value::Bool),
        };
        made.unwrap_or_else(|| Value::text(text.to_owned()))
    }
}

/// Groups of names without an id.
const UNNAMED: &str = "unnamed_";

struct Filling<'p> {
    own: &'p [(&'p str, &'p str)],
    fields: Vec<(String, String, Make)>,
    out: String,
}

impl Filling<'_> {
    fn fill(&mut self, pattern: &str, level: u32) -> Result<(), String> {
        let mut rest = pattern;
        while let Some((before, behind)) = rest.split_once("%{") {
            self.out.push_str(before);
            let Some((inside, tail)) = behind.split_once('}') else {
                return Err(format!("`%{{{behind}` has no closing brace"));
            };
            self.name(inside, level)?;
            if self.out.len() > FILLED_MAX {
                return Err(format!(
                    "the pattern is longer than {FILLED_MAX} bytes with its names filled in"
                ));
            }
            rest = tail;
        }
        self.out.push_str(rest);
        Ok(())
    }

    fn name(&mut self, inside: &str, level: u32) -> Result<(), String> {
        let mut parts = inside.split(':');
        let name = parts.next().unwrap_or_default();
        let of_name = |list: &[(&'_ str, &'_ str)]| {
            list.iter().find(|(known, _)| *known == name).map(|(_, p)| (*p).to_owned())
        };
        let Some(pattern) = of_name(self.own).or_else(|| of_name(KNOWN)) else {
            let names = self.own.iter().chain(KNOWN).map(|(known, _)| *known);
            let hint = crate::model::nearest::did_you_mean(name, names);
            return Err(format!("unknown pattern `%{{{name}}}`{hint}"));
        };
        if level >= LEVELS_MAX {
            return Err(format!("`%{{{name}}}` leads to itself, or too deep"));
        }
        let make = match parts.clone().nth(1) {
            Some("int" | "long") => Make::Int,
            Some("double" | "float") => Make::Double,
            Some("bool" | "boolean") => Make::Bool,
            Some("string") | None => Make::Text,
            Some(other) => {
                return Err(format!("`{other}` is no type; there are int, long, double, float, boolean"));
            }
        };
        match parts.next().filter(|id| !id.is_empty()) {
            // Ids may have any letters and stand twice; group names may not.
            Some(id) => {
                let group = format!("g{}", self.fields.len());
                self.out.push_str(&format!("(?P<{group}>"));
                self.fields.push((group, id.to_owned(), make));
            }
            None if level == 0 => {
                let group = format!("{UNNAMED}{}", self.fields.len());
                self.out.push_str(&format!("(?P<{group}>"));
                self.fields.push((group, name.to_owned(), make));
            }
            None => self.out.push_str("(?:"),
        }
        self.fill(&pattern, level + 1)?;
        self.out.push(')');
        Ok(())
    }
}
