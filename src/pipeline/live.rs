//! What of a plan can change while it runs: one value, which every lane takes whole between two turns.
//!
//! A trace is labelled and ruled as it leaves, in one go, so it sees one of the two and never both. What rules
//! and labels have made of resources before is forgotten, and what is made of them now gets other names, so that
//! it shares no block of a batch with that.

use std::sync::Arc;

use super::journey::Journey;
use super::ruler::{Ruler, Told};
use crate::follow::Followed;
use crate::join;
use crate::model::Interest;
use crate::rules::{Rules, labels, particulars, stamp};

/// Labels, rules and what is written beside them.
#[derive(Clone, Debug, Default)]
pub struct Live {
    pub labels: labels::Settings,
    pub stamps: stamp::Settings,
    pub particulars: particulars::Settings,
    pub rules: Arc<Rules>,
    pub told: Told,
    /// What the join has to find out for them.
    facts: Facts,
}

/// See the join's settings of these names.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    context: bool,
    named: bool,
}

impl Live {
    /// `join`: what it is started with, where traces are joined.
    pub fn new(
        (labels, stamps, particulars): (labels::Settings, stamp::Settings, particulars::Settings),
        rules: Arc<Rules>,
        join: Option<&join::Settings>,
    ) -> Self {
        let facts = join.map(|join| Facts { context: join.context, named: join.named });
        let told = Ruler::nothing_told(&rules);
        Self { labels, stamps, particulars, rules, told, facts: facts.unwrap_or_default() }
    }
}

impl Live {
    /// What is to be noted of requests.
    pub fn interest(&self) -> Interest {
        let headers = self.labels.environment_header.iter().cloned().collect();
        self.rules.interest().and(&Interest { headers, peer: false })
    }
}

impl Journey {
    /// Goes on with what is in force now, if that is another.
    pub fn keep_up(&mut self, live: &Followed<Live>) {
        let version = live.version();
        if version != self.version {
            self.version = version;
            self.take_over(&live.current());
        }
    }

    fn take_over(&mut self, live: &Live) {
        self.labels.relabel(live.labels.clone());
        self.rules.rule(live.rules.clone(), live.told.clone());
        (self.stamps, self.particulars) = (live.stamps, live.particulars.clone());
        if let Some(scoring) = &mut self.scoring {
            scoring.relabel(&live.labels);
        }
        if let Some(join) = &mut self.join {
            join.find_out(live.facts.context, live.facts.named);
        }
    }
}
