//! The rules of a configuration, compiled, and what they make of an item.

use std::collections::BTreeSet;
use std::sync::Arc;

use smallvec::SmallVec;

use super::clash;
use super::editors::deciding;
use super::frame::Frame;
use super::functions::Argument;
use super::group::{Context, ErrorMode, Group, Part};
use super::mistake::Mistake;
use super::names;
use super::program::{Condition, Statement};
use super::reader::Reader;
use super::recall::{Division, Recalling};
use super::scene::Scene;
use super::spots::{self, Home};
use super::table::Tables;
use super::trouble::Trouble;
use super::upstreams::Upstreams;
use crate::model::{Destination, Interest};
use crate::wire::Signal;
use crate::wire::patch::Patch;

/// More statements than anybody writes: each is run on every item.
pub(super) const STATEMENTS_MAX: usize = 4096;

/// Compiled once, run on every item. Shared freely between threads.
#[derive(Debug, Default)]
pub struct Rules {
    pub(super) groups: Vec<Ready>,
    /// For what is remembered of earlier items.
    pub(super) divisions: Vec<Division>,
    /// Where each statement was written, by its number.
    pub(super) parts: Vec<Part>,
    pub(super) reads: Reads,
    /// The headers of requests that they name.
    pub(super) headers: BTreeSet<Arc<str>>,
    /// The attributes that they name.
    pub(super) names: names::Tables,
    samples: bool,
    /// The upstreams that can be named, in their places.
    pub(super) upstreams: Upstreams,
    /// Those that are named.
    routes: Destination,
}

/// What rules look at beside the item itself; what none of them reads need not be found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    pub root: bool,
    pub parent: bool,
    pub trace: bool,
    /// Headers or the peer.
    pub request: bool,
    pub peer: bool,
    /// The same, by rules about resources or scopes: equal resources of different requests may then differ.
    pub request_by_resource: bool,
}

/// A group, ready to run.
#[derive(Debug)]
pub(super) struct Ready {
    pub context: Context,
    /// See [`Group::signal`].
    pub signal: Option<Signal>,
    pub error_mode: ErrorMode,
    /// Some statement keeps something in the cache, which is emptied behind the group.
    pub caches: bool,
    pub conditions: Vec<Condition>,
    pub statements: Vec<(u32, Statement)>,
}

/// What the rules make of one item.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What has to become of its bytes; empty when nothing has.
    pub edits: Patch,
    /// The item goes; its children move (`kinship`).
    pub dropped: bool,
    /// It was not drawn by `sample`, which was asked of it alone.
    pub sampled_out: bool,
    /// What `sample` asks of the trace around it, which stays only if its randomness reaches this.
    pub threshold: Option<u64>,
    /// Events or data points that go, while the item stays.
    pub parts_dropped: u32,
    /// The upstreams it goes to, and no others.
    pub route: Option<Destination>,
    /// Numbers of the statements whose conditions held.
    pub matched: SmallVec<[u32; 8]>,
    /// Statements that failed, and why.
    pub troubles: Vec<(u32, Trouble)>,
}

impl Rules {
    /// # Errors
    /// Everything that is wrong, at most one reason for each thing written. Never empty.
    pub fn compile(groups: &[Group]) -> Result<Self, Vec<Mistake>> {
        Self::compile_with(groups, Upstreams::default(), &mut |_| {
            Err("is not here: no files are read".to_owned())
        })
    }

    /// The same for a configuration with these upstreams, where rules can look things up.
    ///
    /// # Errors
    /// As [`Rules::compile`]; also what `tables` says of a table.
    pub fn compile_with(
        groups: &[Group],
        upstreams: Upstreams,
        tables: &mut Tables<'_>,
    ) -> Result<Self, Vec<Mistake>> {
        let (mut rules, mut mistakes) = (Self { upstreams, ..Self::default() }, Vec::new());
        for (nth, group) in groups.iter().enumerate() {
            let mut reader = Reader { group, nth, tables, mistakes: &mut mistakes, caches: false };
            if let Some(ready) = reader.read(&mut rules) {
                let arguments = ready.statements.iter().flat_map(|(_, statement)| &statement.arguments.all);
                rules.routes = arguments.fold(rules.routes, |all, argument| match argument {
                    Argument::Route(to) => all | *to,
                    _ => all,
                });
                match rules.groups.last_mut() {
                    Some(last) if last.goes_on_with(&ready) => last.statements.extend(ready.statements),
                    _ => rules.groups.push(ready),
                }
            }
        }
        mistakes.extend(clash::between(&rules.groups, &rules.parts, groups));
        if rules.parts.len() > STATEMENTS_MAX {
            let Some(part) = rules.parts.get(STATEMENTS_MAX).cloned() else { return Ok(rules) };
            let text = format!("more than {STATEMENTS_MAX} statements");
            mistakes.push(Mistake { part, source: String::new(), at: 0..0, text });
        }
        let mut statements = rules.groups.iter().flat_map(|group| &group.statements);
        rules.samples = statements.any(|(_, statement)| statement.editor.name == "sample");
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let contexts = [Context::Span, Context::Log].into_iter();
        rules.divisions =
            contexts.filter_map(|context| Division::of(context, &rules.groups, &rules.names)).collect();
        Ok(rules)
    }

    /// Whether any rule looks at the items of `signal`.
    pub fn has(&self, signal: Signal) -> bool {
        self.groups.iter().any(|group| group.context.signal() == Some(signal))
    }

    /// Whether any rule is about resources, or about scopes.
    pub fn has_context(&self, context: Context) -> bool {
        self.groups.iter().any(|group| group.context == context)
    }

    pub fn reads(&self) -> Reads {
        self.reads
    }

    /// What they want to know of requests.
    pub fn interest(&self) -> Interest {
        Interest { headers: self.headers.clone(), peer: self.reads.peer }
    }

    /// Where statement `number` was written.
    pub fn part(&self, number: u32) -> Option<&Part> {
        self.parts.get(number as usize)
    }

    /// How many statements there are: their numbers are below this.
    pub fn statements(&self) -> usize {
        self.parts.len()
    }

    /// What statement `number` runs on.
    pub fn context(&self, number: u32) -> Option<Context> {
        let has = |group: &&Ready| group.statements.iter().any(|(own, _)| *own == number);
        self.groups.iter().find(has).map(|group| group.context)
    }

    /// What happens when statement `number` fails.
    pub fn error_mode(&self, number: u32) -> ErrorMode {
        let has = |group: &&Ready| group.statements.iter().any(|(own, _)| *own == number);
        self.groups.iter().find(has).map(|group| group.error_mode).unwrap_or_default()
    }

    /// The upstreams that statements send items to, by their places in the configuration of these rules.
    pub fn routes(&self) -> Destination {
        self.routes
    }

    /// What the upstreams in these places are called there.
    pub fn names(&self, of: Destination) -> impl Iterator<Item = &str> + Clone {
        self.upstreams.names().enumerate().filter(move |(nth, _)| of.has(*nth)).map(|(_, name)| name)
    }

    /// Whether any rule samples traces.
    pub fn samples(&self) -> bool {
        self.samples
    }

    /// Whether rules about resources or scopes differ by the signal that these are of.
    pub fn differ_by_signal(&self) -> bool {
        self.groups.iter().any(|group| group.signal.is_some() && group.context.signal().is_none())
    }

    /// What becomes of a Resource message's body. Dropping one drops all that is in its block.
    pub fn apply_resource<'a>(&'a self, resource: &'a [u8], frame: Frame<'a>) -> Outcome {
        self.apply(Context::Resource, resource, frame)
    }

    /// What becomes of an InstrumentationScope's body.
    pub fn apply_scope<'a>(&'a self, scope: &'a [u8], frame: Frame<'a>) -> Outcome {
        self.apply(Context::Scope, scope, frame)
    }

    /// The same as [`Rules::apply_item`] for items that come one behind the other.
    pub fn recalling(&self, signal: Signal) -> Recalling<'_> {
        Recalling::of(self, signal, self.divisions.iter().find(|of| of.context.signal() == Some(signal)))
    }

    /// What becomes of the body of a Span, LogRecord or Metric. Profiles have no rules.
    pub fn apply_item<'a>(&'a self, signal: Signal, item: &'a [u8], frame: Frame<'a>) -> Outcome {
        match signal {
            Signal::Traces => self.apply(Context::Span, item, frame),
            Signal::Logs => self.apply(Context::Log, item, frame),
            Signal::Metrics => self.apply(Context::Metric, item, frame),
            Signal::Profiles => Outcome::default(),
        }
    }

    fn apply<'a>(&'a self, context: Context, item: &'a [u8], frame: Frame<'a>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut scene = Scene::of(context, item, frame, &self.names);
        let meant = |group: &&Ready| match (group.signal, frame.signal) {
            (Some(wanted), Some(signal)) => wanted == signal,
            _ => true,
        };
        for group in self.groups.iter().filter(meant) {
            let ran = match (context, group.context) {
                (_, own) if own == context => group.run(&mut scene, &mut outcome),
                (Context::Span, Context::SpanEvent) | (Context::Metric, Context::DataPoint) => {
                    group.run_inside(&mut scene, &mut outcome)
                }
                _ => continue,
            };
            if ran.is_err() {
                // The item goes on as it came, and nothing was decided about it.
                return Outcome { troubles: outcome.troubles, ..Outcome::default() };
            }
            if scene.dropped {
                break;
            }
        }
        outcome.route = scene.route;
        match frame.trace {
            Some(_) => outcome.threshold = scene.threshold,
            None => outcome.sampled_out = !deciding::stays_alone(&mut scene),
        }
        match scene.patch() {
            Ok((edits, gone)) => {
                let parts = scene.inners.as_ref().map_or(0, Vec::len);
                let empty = context == Context::Metric && gone > 0 && gone as usize == parts;
                outcome.dropped = scene.dropped || empty;
                outcome.parts_dropped = if outcome.dropped { 0 } else { gone };
                outcome.edits = match &scene.recast {
                    Some(recast) if !outcome.dropped => recast.plan(item, &edits),
                    _ => edits,
                };
            }
            Err(trouble) => outcome.troubles.push((outcome.matched.last().copied().unwrap_or(0), trouble)),
        }
        outcome
    }
}

/// A failed statement whose group says that nothing may run behind it.
pub(super) struct Stop;

impl Ready {
    /// Whether it makes no difference if `next` is a part of it.
    fn goes_on_with(&self, next: &Self) -> bool {
        let alike =
            (self.context, self.signal, self.error_mode) == (next.context, next.signal, next.error_mode);
        // Behind one group about events or points the next begins with the first of them again.
        let once = !matches!(self.context, Context::SpanEvent | Context::DataPoint);
        let unbound = |group: &Self| group.conditions.is_empty() && !group.caches;
        alike && once && unbound(self) && unbound(next)
    }

    #[inline]
    pub fn run<'a>(&'a self, scene: &mut Scene<'a>, outcome: &mut Outcome) -> Result<(), Stop> {
        scene.current = None;
        scene.forget();
        self.run_on(scene, outcome)
    }

    /// On each event or point of the item.
    fn run_inside<'a>(&'a self, scene: &mut Scene<'a>, outcome: &mut Outcome) -> Result<(), Stop> {
        let count = scene.load_inners(self.context);
        for nth in 0..count {
            scene.current = Some(nth);
            scene.forget();
            if scene.inner().is_some_and(|inner| !inner.dropped) {
                self.run_on(scene, outcome)?;
            }
        }
        scene.current = None;
        Ok(())
    }

    fn run_on<'a>(&'a self, scene: &mut Scene<'a>, outcome: &mut Outcome) -> Result<(), Stop> {
        let first = self.statements.first().map_or(0, |(number, _)| *number);
        let mut meant = self.conditions.is_empty();
        for condition in &self.conditions {
            match condition.holds(scene) {
                Ok(holds) => meant |= holds,
                Err(trouble) => self.failed(first, trouble, outcome)?,
            }
            if meant {
                break;
            }
        }
        if !meant {
            return Ok(());
        }
        for statement in &self.statements {
            if self.step(statement, scene, outcome)? && scene.inner().map_or(scene.dropped, |i| i.dropped) {
                break;
            }
        }
        Ok(())
    }

    /// One of its statements; says whether that did something.
    #[inline]
    pub fn step<'a>(
        &'a self,
        (number, statement): &'a (u32, Statement),
        scene: &mut Scene<'a>,
        outcome: &mut Outcome,
    ) -> Result<bool, Stop> {
        match statement.run(scene) {
            Ok(false) => return Ok(false),
            Ok(true) if outcome.matched.last() != Some(number) => outcome.matched.push(*number),
            Ok(true) => {}
            Err(trouble) => self.failed(*number, trouble, outcome)?,
        }
        Ok(true)
    }

    fn failed(&self, number: u32, trouble: Trouble, outcome: &mut Outcome) -> Result<(), Stop> {
        outcome.troubles.push((number, trouble));
        if self.error_mode == ErrorMode::Propagate { Err(Stop) } else { Ok(()) }
    }
}

impl Reads {
    /// Notes what a path of a rule about `context` leads to.
    pub(super) fn note(&mut self, home: Home, spot: spots::Spot, context: Context) {
        match (home, spot) {
            (Home::Root, _) => self.root = true,
            (Home::Parent, _) => self.parent = true,
            (_, spots::Spot::Trace(_)) => self.trace = true,
            (_, spots::Spot::Header | spots::Spot::PeerAddress) => {
                self.request = true;
                self.peer |= spot == spots::Spot::PeerAddress;
                self.request_by_resource |= matches!(context, Context::Resource | Context::Scope);
            }
            _ => {}
        }
    }
}
