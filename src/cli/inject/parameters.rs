//! What injection is told: the values of the chart's ConfigMap, by the same names.

use std::fmt::Write;

use super::yaml;

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

impl Parameters {
    /// The defaults, then what a ConfigMap says, then `name=value` each.
    ///
    /// # Errors
    /// What is wrong with them: everything, one a line.
    pub fn of(config_map: Option<&str>, set: &[String]) -> Result<Self, String> {
        let mut all = Self::default();
        let mut wrong = String::new();
        let mut take = |name: &str, value: &str| {
            if let Err(why) = all.take(name, value) {
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
        if all.upstream.is_empty() {
            wrong.push_str("where should sidecars send? give `--parameter upstream=http://collector:4317`, or `dns:` and a headless Service of gateways\n");
        }
        if wrong.is_empty() { Ok(all) } else { Err(wrong.trim_end().to_owned()) }
    }

    /// What the template calls this parameter.
    pub fn get(&mut self, name: &str) -> Option<&str> {
        self.known().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn known(&mut self) -> [Known<'_>; 12] {
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

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        let mut known = self.known();
        let names = known.iter().map(|(known, _)| *known).collect::<Vec<_>>().join(", ");
        let Some((_, slot)) = known.iter_mut().find(|(known, _)| *known == name) else {
            return Err(format!("unknown parameter `{name}`; known: {names}"));
        };
        let may = match name {
            "environment" => Ok(()),
            _ if value.is_empty() => Err("a value".to_owned()),
            "imagePullPolicy" => one_of(value, &["Always", "IfNotPresent", "Never"]),
            "scope" => one_of(value, &["local", "trace", "off"]),
            "protocol" => one_of(value, &["http/protobuf", "grpc"]),
            _ if name.starts_with("cpu") || name.starts_with("memory") => quantity(value),
            _ => Ok(()),
        };
        may.map_err(|wants| format!("parameter `{name}`: `{value}` can not be meant; it wants {wants}"))?;
        value.clone_into(slot);
        Ok(())
    }
}

fn one_of(value: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&value) { Ok(()) } else { Err(format!("one of {}", words.join(", "))) }
}

/// As Kubernetes writes amounts.
fn quantity(value: &str) -> Result<(), String> {
    let digits = value.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let units = ["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"];
    let number = digits.parse::<f64>().is_ok() && digits.starts_with(|c: char| c.is_ascii_digit());
    if number && units.contains(&&value[digits.len()..]) {
        Ok(())
    } else {
        Err("an amount like `100m` or `32Mi`".to_owned())
    }
}
