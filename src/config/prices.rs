//! The price table a user names, read and checked at start.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::check::Check;
use super::file::reason;
use super::raw::{self, Raw};
use super::words::Scope;
use crate::rules::particulars;
use crate::semantics::Prices;

/// Larger than any table of prices.
const BYTES_MAX: u64 = 16 << 20;

impl Check<'_> {
    /// What is asked for of single spans, and the prices for it. Usage needs whole traces.
    pub(super) fn particulars(&mut self, raw: &Raw) -> particulars::Settings {
        let raw::Usage { repair, prices } = &raw.usage;
        self.files.extend(prices.value.clone());
        let table = prices.value.as_deref().and_then(|path| match read(path) {
            Ok(table) => Some(Arc::new(table)),
            Err(wrong) => {
                self.note(&prices.from, format!("`usage.prices`: `{}`: {wrong}", path.display()));
                None
            }
        });
        if raw.join.scope.value != Scope::Trace {
            for (leaf, from) in [
                ("repair", repair.value.then_some(&repair.from)),
                ("prices", prices.value.as_ref().map(|_| &prices.from)),
            ] {
                if let Some(from) = from {
                    let hint = "write it where they are joined, at the gateway";
                    self.note(
                        from,
                        format!("`usage.{leaf}` needs whole traces, `join.scope: trace`; {hint}"),
                    );
                }
            }
        }
        let (sums, dialect) = (raw.rollups.on_root.value, raw.dialect.value);
        particulars::Settings { repair: repair.value, prices: table, sums, dialect }
    }
}

fn read(path: &Path) -> Result<Prices, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|cause| format!("can't be read: {}", reason(&cause)))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err("is larger than 16MiB; is it a table of prices?".to_owned());
    }
    Prices::parse(&bytes).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    use crate::config::{Ask, Plan, Surroundings, Variables, load_in};

    fn load(text: &str) -> Result<Plan, String> {
        let dir = tempfile::tempdir().unwrap();
        let entry = |pattern: &str| {
            format!(r#"[{{"modelName": "m", "matchPattern": "{pattern}", "prices": {{"input": 1}}}}]"#)
        };
        std::fs::write(dir.path().join("good.json"), entry("^m$")).unwrap();
        std::fs::write(dir.path().join("bad.json"), entry("(")).unwrap();
        let text = text.replace("DIR", &dir.path().display().to_string());
        std::fs::write(dir.path().join("c.yaml"), text).unwrap();
        let ask = Ask { file: Some(dir.path().join("c.yaml")), set: Vec::new() };
        let surroundings = Surroundings { variables: Variables::default(), ..Surroundings::of_process() };
        load_in(&ask, &surroundings).map(|loaded| loaded.plan).map_err(|mistakes| mistakes.to_string())
    }

    #[test]
    fn a_price_file_is_read_and_what_is_wrong_with_it_is_said() {
        let plan = load("usage: {prices: DIR/good.json}").unwrap();
        assert!(plan.particulars.prices.is_some_and(|prices| prices.len() == 1));
        for (text, expect) in [
            ("usage: {prices: DIR/none.json}", "can't be read: no such file"),
            ("usage: {prices: DIR/bad.json}", "price entry 0 (`m`): `matchPattern`"),
            ("join: {scope: local}\nusage: {repair: true}", "`usage.repair` needs whole traces"),
        ] {
            let said = load(text).unwrap_err();
            assert!(said.contains(expect), "{said}");
        }
    }
}
