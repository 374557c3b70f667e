//! What injection is told: the values of the chart's ConfigMap, by the same names.

use std::fmt::Write;

use regex::Regex;

use super::yaml::{self, Node};

/// What they may be: the chart's own file.
const MAY_BE: &str = include_str!("../../../helm/spandrel/files/parameters.yaml");

/// All of them; what they mean stands in helm/spandrel/values.yaml.
#[derive(Clone, Debug)]
pub struct Parameters {
    pub image: String,
    pub image_pull_policy: String,
    pub upstream: String,
    pub scope: String,
    pub protocol: String,
    pub environment: String,
    pub environment_label: String,
    pub config_map: String,
    pub cpu_request: String,
    pub memory_request: String,
    pub cpu_limit: String,
    pub memory_limit: String,
}

impl Default for Parameters {
    /// Those of the chart, which has a gateway to send to; here `upstream` is for the user to say.
    fn default() -> Self {
        Self {
            image: concat!("spandrel:", env!("CARGO_PKG_VERSION")).to_owned(),
            image_pull_policy: "IfNotPresent".to_owned(),
            upstream: String::new(),
            scope: "local".to_owned(),
            protocol: "http/protobuf".to_owned(),
            environment: String::new(),
            environment_label: "spandrel.dev/environment".to_owned(),
            config_map: "spandrel".to_owned(),
            cpu_request: "20m".to_owned(),
            memory_request: "32Mi".to_owned(),
            cpu_limit: "100m".to_owned(),
            memory_limit: "32Mi".to_owned(),
        }
    }
}

/// A parameter's name and where its value is kept.
type Known<'a> = (&'static str, &'a mut String);

/// What stands of a parameter where they are described: its `pattern`, what it is `never`.
pub fn of_description(name: &str, what: &str) -> Option<String> {
    let all = yaml::read(MAY_BE).ok()?;
    all.first()?.text_at(&[name, what]).map(str::to_owned)
}

impl Parameters {
    /// The defaults, then what a ConfigMap says, then `name=value` each.
    ///
    /// # Errors
    /// What is wrong with them: everything, one a line.
    pub fn of(config_map: Option<&str>, set: &[String]) -> Result<Self, String> {
        let mut all = Self::default();
        let mut wrong = String::new();
        let may_be = yaml::read(MAY_BE)?;
        let may_be = may_be.first().ok_or("nothing says what parameters may be")?;
        let mut take = |name: &str, value: &str| {
            if let Err(why) = all.take(name, value, may_be) {
                let _ = writeln!(wrong, "{why}");
            }
        };
        for document in yaml::read(config_map.unwrap_or_default())? {
            let data = document
                .get("data")
                .ok_or("--parameters: there is no `data`; give the ConfigMap of the chart")?;
            data.entries().iter().for_each(|entry| take(&entry.key, entry.value.text().unwrap_or_default()));
        }
        for pair in set {
            match pair.split_once('=') {
                Some((name, value)) => take(name.trim(), value.trim()),
                None => take(pair, ""),
            }
        }
        if let Some(why) = all.more_than_its_limit() {
            let _ = writeln!(wrong, "{why}");
        }
        if all.upstream.is_empty() {
            wrong.push_str("where should sidecars send? give `--parameter upstream=http://collector:4317`, or `dns:` and a headless Service of gateways\n");
        }
        if wrong.is_empty() { Ok(all) } else { Err(wrong.trim_end().to_owned()) }
    }

    /// What the template calls this parameter.
    pub fn get(&mut self, name: &str) -> Option<&str> {
        self.known().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn known(&mut self) -> [Known<'_>; 12] {
        [
            ("image", &mut self.image),
            ("imagePullPolicy", &mut self.image_pull_policy),
            ("upstream", &mut self.upstream),
            ("scope", &mut self.scope),
            ("protocol", &mut self.protocol),
            ("environment", &mut self.environment),
            ("environmentLabel", &mut self.environment_label),
            ("configMap", &mut self.config_map),
            ("cpuRequest", &mut self.cpu_request),
            ("memoryRequest", &mut self.memory_request),
            ("cpuLimit", &mut self.cpu_limit),
            ("memoryLimit", &mut self.memory_limit),
        ]
    }

    fn take(&mut self, name: &str, value: &str, may: &Node) -> Result<(), String> {
        let mut known = self.known();
        let names = known.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
        let Some((_, slot)) = known.iter_mut().find(|(known, _)| *known == name) else {
            return Err(format!("unknown parameter `{name}`; known: {names}"));
        };
        let of = |what: &str| may.text_at(&[name, what]);
        let fits = |pattern: &str| Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(value));
        let is_enough = |least: &str| amount(value) >= amount(least);
        if !of("pattern").is_some_and(fits)
            || of("never").is_some_and(fits)
            || !of("least").is_none_or(is_enough)
        {
            let wants = of("wants").unwrap_or_default();
            return Err(format!("parameter `{name}`: `{value}` can not be meant; it wants {wants}"));
        }
        value.clone_into(slot);
        Ok(())
    }

    /// Kubernetes refuses a pod that asks for more than it may have.
    fn more_than_its_limit(&self) -> Option<String> {
        let pairs = [
            ("cpu", &self.cpu_request, &self.cpu_limit),
            ("memory", &self.memory_request, &self.memory_limit),
        ];
        let (of, request, limit) =
            pairs.into_iter().find(|(_, request, limit)| amount(request) > amount(limit))?;
        Some(format!(
            "parameter `{of}Request`: `{request}` is more than `{of}Limit`, `{limit}`; lower the one or raise the other"
        ))
    }
}

/// An amount as Kubernetes writes it, of the forms that the parameters may have.
fn amount(text: &str) -> f64 {
    let (digits, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let units = [("m", 1e-3), ("k", 1e3), ("M", 1e6), ("G", 1e9)];
    let binary = [("Ki", 10), ("Mi", 20), ("Gi", 30)].map(|(name, power)| (name, f64::from(1 << power)));
    let scale =
        units.into_iter().chain(binary).find(|(name, _)| *name == unit).map_or(1.0, |(_, scale)| scale);
    digits.parse::<f64>().map_or(0.0, |number| number * scale)
}
