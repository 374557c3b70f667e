//! The user's rules as a lane runs them: those about resources and scopes once for each distinct one, failures
//! counted by statement and told once.
//!
//! Rules run on the labelled resource, so that they see what goes out. The one surprise: what they change gets a
//! name of its own, above all that the memo of labels and the join give, so that it shares no block of a batch
//! with what they left alone.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ahash::RandomState;
use bytes::Bytes;
use hashbrown::HashMap;
use prometheus::IntCounterVec;

use crate::join::Head;
use crate::model::{Caller, Clock, Destination};
use crate::rules::memo::Labelled;
use crate::rules::{Context, ErrorMode, Frame, Request, Rules, Trouble};
use crate::telemetry::Meters;
use crate::wire::Signal;
use crate::wire::block::BlockHead;

/// More than this is forgotten, and worked out anew.
const BYTES_MAX: usize = 1 << 20;
/// What is remembered of a resource or scope beside its bytes.
const ENTRY: usize = 128;
/// Names from here on are given here.
const OURS: u64 = 1 << 63;
/// The name of whoever nobody asks for.
const NOBODY: u64 = 0;

/// Which statements' failures were told; shared by all lanes.
pub type Told = Arc<[AtomicBool]>;

/// A scope as the rules leave it.
#[derive(Clone, Debug)]
pub struct RuledScope {
    /// Names its bytes, and whatever else its block says.
    pub id: u64,
    pub head: BlockHead,
    pub dropped: bool,
    pub changed: bool,
    /// Where a rule sends what is of this scope.
    pub to: Option<Destination>,
}

/// What rules made of a resource: its body, whether it is dropped, and where it goes.
type Made = (Bytes, bool, Option<Destination>);

/// One lane's rules.
#[derive(Debug)]
pub struct Ruler {
    pub rules: Arc<Rules>,
    clock: Clock,
    /// By the names of the labelled resource and of the caller, and the signal where rules differ by it.
    resources: HashMap<(u64, u64, Option<Signal>), Rc<Labelled>, RandomState>,
    /// By the names of the resource, as ruled, of the scope and of the caller.
    scopes: HashMap<(u64, u64, u64), RuledScope, RandomState>,
    /// Names of callers, where rules about resources or scopes ask who they are.
    callers: HashMap<Caller, u64, RandomState>,
    /// By the name of the labelled resource and what was made of it: callers that are ruled alike share blocks.
    alike: HashMap<(u64, Made), Rc<Labelled>, RandomState>,
    bytes: usize,
    names: u64,
    errors: IntCounterVec,
    told: Told,
}

impl Ruler {
    pub fn new(rules: Arc<Rules>, clock: Clock, told: Told, meters: &Meters) -> Self {
        Self {
            rules,
            clock,
            resources: HashMap::default(),
            scopes: HashMap::default(),
            callers: HashMap::default(),
            alike: HashMap::default(),
            bytes: 0,
            names: OURS,
            errors: meters.rule_errors.clone(),
            told,
        }
    }

    /// Goes on with these rules. What others made of resources and scopes is forgotten, and its names are not
    /// used again.
    pub fn rule(&mut self, rules: Arc<Rules>, told: Told) {
        (self.rules, self.told) = (rules, told);
        self.forget();
    }

    fn forget(&mut self) {
        self.resources.clear();
        self.scopes.clear();
        self.callers.clear();
        self.alike.clear();
        self.bytes = 0;
    }

    /// For the lanes of one process.
    pub fn nothing_told(rules: &Rules) -> Told {
        (0..rules.statements()).map(|_| AtomicBool::new(false)).collect()
    }

    /// Whether any rule looks into the blocks of a signal.
    pub fn concerns(&self, signal: Signal) -> bool {
        self.rules.has(signal) || (signal != Signal::Profiles && self.rules.has_context(Context::Scope))
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Unix nanoseconds.
    pub fn now(&self) -> i64 {
        i64::try_from(self.clock.unix_nanos()).unwrap_or(i64::MAX)
    }

    fn frame<'f>(&self) -> Frame<'f> {
        Frame { now: self.now(), random: rand::random(), ..Frame::default() }
    }

    /// A labelled resource of a signal as the rules leave it: itself, where they change nothing.
    pub fn resource(
        &mut self,
        signal: Signal,
        labelled: Rc<Labelled>,
        caller: Option<&Caller>,
    ) -> Rc<Labelled> {
        if !self.rules.has_context(Context::Resource) {
            return labelled;
        }
        let key = (labelled.id, self.name_of(caller), self.rules.differ_by_signal().then_some(signal));
        if let Some(known) = self.resources.get(&key) {
            return known.clone();
        }
        let rules = self.rules.clone();
        let request = caller.map(|caller| caller as &dyn Request);
        let frame = Frame { signal: Some(signal), request, ..self.frame() };
        let outcome = rules.apply_resource(&labelled.body, frame);
        self.count(&outcome.troubles);
        let ruled = if outcome.dropped || outcome.route.is_some() || !outcome.edits.is_empty() {
            let body = outcome.edits.apply(&labelled.body).into();
            self.ruled(&labelled, (body, outcome.dropped, outcome.route), key.1 != NOBODY)
        } else {
            labelled.clone()
        };
        self.pay(ruled.body.len());
        self.resources.insert(key, ruled.clone());
        ruled
    }

    fn ruled(&mut self, labelled: &Labelled, made: Made, of_caller: bool) -> Rc<Labelled> {
        let key = (labelled.id, made);
        if let Some(known) = self.alike.get(&key) {
            return known.clone();
        }
        let (body, dropped, to) = key.1.clone();
        let ruled = Rc::new(Labelled { id: self.name(), body, changed: labelled.changed, dropped, to });
        if of_caller {
            self.alike.insert(key, ruled.clone());
        }
        ruled
    }

    /// A name for who sent it, if rules about resources or scopes ask.
    fn name_of(&mut self, caller: Option<&Caller>) -> u64 {
        let Some(caller) = caller.filter(|_| self.rules.reads().request_by_resource) else { return NOBODY };
        if let Some(name) = self.callers.get(caller) {
            return *name;
        }
        self.pay(caller.bytes());
        let name = self.name();
        self.callers.insert(caller.clone(), name);
        name
    }

    /// The scope of a joined block of spans whose resource was ruled. An absent one has nothing to be changed.
    pub fn scope(&mut self, resource: &Labelled, scope: &Head, caller: Option<&Caller>) -> RuledScope {
        let as_it_came = || RuledScope {
            id: scope.id,
            head: scope.bytes.clone(),
            dropped: false,
            changed: false,
            to: None,
        };
        if !self.rules.has_context(Context::Scope) || scope.body().is_empty() {
            return as_it_came();
        }
        let key = (resource.id, scope.id, self.name_of(caller));
        if let Some(known) = self.scopes.get(&key) {
            return known.clone();
        }
        let rules = self.rules.clone();
        let request = caller.map(|caller| caller as &dyn Request);
        let frame = Frame { signal: Some(Signal::Traces), resource: &resource.body, request, ..self.frame() };
        let outcome = rules.apply_scope(scope.body(), frame);
        self.count(&outcome.troubles);
        let ruled = if outcome.edits.is_empty() {
            RuledScope { dropped: outcome.dropped, to: outcome.route, ..as_it_came() }
        } else {
            let head = scope.bytes.with_first(&outcome.edits.apply(scope.body()));
            RuledScope { id: self.name(), head, dropped: outcome.dropped, changed: true, to: outcome.route }
        };
        self.pay(ruled.head.first.len() + ruled.head.rest.len());
        self.scopes.insert(key, ruled.clone());
        ruled
    }

    /// Counts what failed, and tells the first failure of each statement.
    pub fn count(&self, troubles: &[(u32, Trouble)]) {
        for (number, trouble) in troubles {
            let Some(part) = self.rules.part(*number) else { continue };
            let rule = match &part.name {
                Some(name) => format!("{name}.{}", part.nth + 1),
                None => format!("{}.{}", part.group + 1, part.nth + 1),
            };
            self.errors.with_label_values(&[&rule]).inc();
            let told = self.told.get(*number as usize).is_none_or(|told| told.swap(true, Ordering::Relaxed));
            if !told && self.rules.error_mode(*number) != ErrorMode::Silent {
                tracing::warn!(
                    rule,
                    "a rule failed on an item, which goes on without it: {part}: {trouble}; further failures are counted only"
                );
            }
        }
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    fn pay(&mut self, bytes: usize) {
        if self.bytes + bytes + ENTRY > BYTES_MAX {
            self.forget();
        }
        self.bytes += bytes + ENTRY;
    }
}
