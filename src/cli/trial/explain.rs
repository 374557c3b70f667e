//! Which statement is behind each change: the capture is run once more for every statement that did something, each
//! time with one more of them, and what differs from the run before is that statement's work.
//!
//! So what a statement does elsewhere is seen too: the parent of a span whose own parent was dropped, the state of a
//! trace that was sampled. It costs as many runs as there are such statements.

use std::collections::{BTreeMap, BTreeSet};

use super::apply::{Fate, Looked, Trial, Tried};
use super::capture::Captured;
use super::difference;
use crate::config::RuleFile;
use crate::model::Caller;
use crate::rules::{Group, Rules};

/// Of one message, the statements by the field they changed; `fate` are those that took it away.
#[derive(Clone, Debug, Default)]
pub struct Causes {
    pub fields: BTreeMap<String, Vec<u32>>,
    pub fate: Option<u32>,
}

/// The causes for each message of `tried`, in its order.
///
/// # Errors
/// When a request can not be followed.
pub fn causes(
    file: &RuleFile,
    requests: &[Captured],
    tried: &Tried,
    (caller, now, seed): (&Caller, i64, u128),
) -> Result<Vec<Causes>, String> {
    let mut causes = vec![Causes::default(); tried.looked.len()];
    let mut before: Option<Tried> = None;
    for number in statements_at_work(tried) {
        let Some(rules) = up_to(file, number) else { continue };
        let after = Trial::of(&rules, caller, now, seed).run(requests)?;
        for (nth, (looked, causes)) in after.looked.iter().zip(&mut causes).enumerate() {
            let was = before.as_ref().and_then(|before| before.looked.get(nth));
            compare(was, looked, number, causes);
        }
        before = Some(after);
    }
    Ok(causes)
}

/// Those whose conditions held, and those that failed: what failed in a condition may be another's reason.
fn statements_at_work(tried: &Tried) -> BTreeSet<u32> {
    tried.matched.iter().copied().chain(tried.troubles.iter().map(|(number, _)| *number)).collect()
}

fn compare(was: Option<&Looked>, is: &Looked, number: u32, causes: &mut Causes) {
    let fate = was.map_or(Fate::Stays, |was| was.fate);
    if is.fate != fate {
        causes.fate = (is.fate != Fate::Stays).then_some(number);
    }
    let before = was.and_then(|was| was.is.as_deref()).unwrap_or(&is.was);
    let after = is.is.as_deref().unwrap_or(&is.was);
    if before != after {
        for changed in difference::between(is.kind, is.signal, before, after) {
            causes.fields.entry(changed.path).or_default().push(number);
        }
    }
}

/// The rules without the statements behind `number`.
fn up_to(file: &RuleFile, number: u32) -> Option<Rules> {
    let last = file.rules.part(number)?;
    let mut groups: Vec<Group> = file.groups.get(..=last.group)?.to_vec();
    groups.last_mut()?.statements.truncate(last.nth + 1);
    // What a group is about was told by all of its statements.
    for part in (0..=number).filter_map(|number| Some((number, file.rules.part(number)?))) {
        if let Some(group) = groups.get_mut(part.1.group) {
            group.context = file.rules.context(part.0);
        }
    }
    file.compile(&groups)
}
