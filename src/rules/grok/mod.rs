//! Grok: regular expressions with names for parts everybody needs (`%{IP:client} %{NUMBER:bytes:int}`).
//!
//! The names are Logstash's and Elastic's, and so are the fields they fill; what was written with look-around
//! there is written without, because ours is an engine that never looks twice.

mod known;
mod products;

use regex::Regex;

use self::known::KNOWN;
use self::products::PRODUCTS;
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
        let Some(pattern) = of_name(self.own).or_else(|| of_name(KNOWN)).or_else(|| of_name(PRODUCTS)) else {
            let names = self.own.iter().chain(KNOWN).chain(PRODUCTS).map(|(known, _)| *known);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A call without definitions of its own.
    fn call() -> Call {
        Call { name: String::new(), name_at: 0..0, arguments: Vec::new(), keys: Vec::new(), at: 0..0 }
    }

    #[test]
    fn every_name_compiles_within_the_bound() {
        for (name, _) in KNOWN.iter().chain(PRODUCTS) {
            if let Err(wrong) = Grok::of(&format!("%{{{name}}}"), &call()) {
                panic!("{name}: {wrong}");
            }
        }
    }

    #[test]
    fn logs_of_products_are_taken_apart() {
        for (name, line, keys) in [
            (
                "HTTPD_COMBINEDLOG",
                r#"192.0.2.1 - ann [10/Oct/2026:13:55:36 -0700] "GET /a.gif HTTP/1.1" 200 2326 "http://x/" "curl/8""#,
                "source.address,user.name,timestamp,http.request.method,url.original,http.version,\
                 http.response.status_code,http.response.body.bytes,http.request.referrer,user_agent.original",
            ),
            (
                "HTTPD_ERRORLOG",
                "[Wed Oct 11 14:32:52 2026] [error] [client 192.0.2.1] denied",
                "timestamp,log.level,source.address,message",
            ),
            (
                "SYSLOGBASE",
                "Nov 25 10:00:00 web1 sshd[123]:",
                "timestamp,host.hostname,process.name,process.pid",
            ),
            (
                "SYSLOGLINE",
                "Nov 25 10:00:00 web1 sshd[123]: accepted",
                "timestamp,host.hostname,process.name,process.pid,message",
            ),
            (
                "SYSLOG5424LINE",
                "<34>1 2026-11-25T10:00:00Z web1 su 77 ID47 - failed",
                "log.syslog.priority,system.syslog.version,timestamp,host.hostname,process.name,process.pid,event.code,message",
            ),
            (
                "CRONLOG",
                "Nov 25 10:00:00 web1 CRON[9]: (root) CMD (ls)",
                "timestamp,host.hostname,process.name,process.pid,user.name,system.cron.action,message",
            ),
            ("REDISLOG", "[77] 25 Nov 10:00:00 *", "process.pid,timestamp"),
            (
                "RUBY_LOGGER",
                "E, [2026-11-25T10:00:00 #12] ERROR -- app: broken",
                "timestamp,process.pid,log.level,process.name,message",
            ),
            (
                "MONGO3_LOG",
                "2026-11-25T10:00:00.000+0000 I NETWORK [conn1] end",
                "timestamp,log.level,mongodb.component,mongodb.context,message",
            ),
            (
                "SQUID3",
                "1525344856.899 16867 192.0.2.1 TCP_MISS/200 6354 GET http://x/ - DIRECT/192.0.2.2 text/html",
                "timestamp,squid.request.duration,source.ip,event.action,http.response.status_code,http.response.bytes,\
                 http.request.method,url.original,squid.hierarchy_code,destination.address,http.response.mime_type",
            ),
            (
                "ELB_ACCESS_LOG",
                r#"2026-11-25T10:00:00.1Z lb 192.0.2.1:2817 10.0.0.1:80 0.1 0.2 0.3 200 200 0 29 "GET http://x:80/a?b=c HTTP/1.1""#,
                "timestamp,aws.elb.name,source.ip,source.port,aws.elb.backend.ip,aws.elb.backend.port,\
                 aws.elb.request_processing_time.sec,aws.elb.backend_processing_time.sec,\
                 aws.elb.response_processing_time.sec,http.response.status_code,\
                 aws.elb.backend.http.response.status_code,http.request.body.bytes,http.response.body.bytes,\
                 http.request.method,url.original,url.scheme,url.domain,url.port,url.path,url.query,http.version",
            ),
        ] {
            let grok = Grok::of(&format!("^%{{{name}}}$"), &call()).unwrap();
            let found = grok.find(line, true);
            let found: Vec<_> = found.entries().iter().map(|entry| entry.key.as_ref()).collect();
            assert_eq!(found.join(","), keys, "{name}");
        }
    }
}
