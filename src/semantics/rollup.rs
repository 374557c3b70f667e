//! A joined trace, summed up: every property that the platform shows of a trace, and of its observations.
//!
//! Borrowed from the request's bytes: payloads are never copied. Bounded whatever the trace is: at most
//! [`Trace::OBSERVATIONS_MAX`] spans are read and the rest is counted. It never fails: a body that can not
//! be walked is a trace without observations.
//!
//! The right root speaks for the trace (see [`root`]); where it says nothing, the first span in the order
//! of the tree that does. The surprise: tokens and costs are not the sum over all observations but over
//! those that say something new (`doubles`).

use std::borrow::Cow;
use std::collections::HashSet;
use std::time::Duration;

use super::around::{Around, UNKNOWN_SERVICE};
use super::complaint::{Complaints, Problem};
use super::content::Content;
use super::cost::{self, Cost};
use super::doubles::{self, Claim, Part, Why};
use super::kind::Kind;
use super::level::{Level, Levels};
use super::observation::Observation;
use super::path;
use super::prices::Prices;
use super::tags::{TAGS_MAX, Tags};
use super::tree::Tree;
use super::usage::Usage;
use crate::wire::attr::Value;
use crate::wire::walk::{Detail, Index, Limits, walk};
use crate::wire::{Signal, SpanId, TraceId};

/// One trace.
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    pub id: TraceId,
    pub name: Cow<'a, str>,
    /// The earliest start, Unix nanoseconds.
    pub timestamp: u64,
    /// From the earliest start to the latest start or end.
    pub latency: Duration,
    pub input: Option<Content<'a>>,
    pub output: Option<Content<'a>>,
    pub user: Option<Cow<'a, str>>,
    pub session: Option<Cow<'a, str>>,
    pub environment: Option<&'a str>,
    pub release: Option<&'a str>,
    pub version: Option<Cow<'a, str>>,
    pub tags: Tags<'a>,
    /// By key, each once.
    pub metadata: Vec<(&'a str, Value<'a>)>,
    pub public: bool,
    pub levels: Levels,
    /// Observations whose level is an error.
    pub errors: u32,
    /// Without what would count twice.
    pub usage: Usage<'a>,
    /// `None` when no observation has a cost.
    pub cost: Option<cost::Sum>,
    /// Distinct spans, those beyond `observations` included.
    pub observation_count: u64,
    /// Spans whose id was there before: the earliest is kept.
    pub duplicates: u64,
    /// Depth first, siblings by start.
    pub observations: Vec<Row<'a>>,
    /// The place in `observations` of who speaks for the trace.
    pub root: Option<usize>,
    /// Distinct service names, in the order of the tree.
    pub services: Vec<&'a str>,
    /// `telemetry.sdk.language`, likewise.
    pub languages: Vec<&'a str>,
    /// Span ids below the root, by start.
    pub critical_path: Vec<SpanId>,
    /// What could not be read, of all observations.
    pub complaints: Complaints<'a>,
}

/// One observation of a trace, with what its place in the tree says.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    pub observation: Observation<'a>,
    pub depth: u32,
    /// The parent is named and not in this trace.
    pub orphan: bool,
    pub kind: Kind,
    pub level: Level,
    /// As a server shows it.
    pub usage: Usage<'a>,
    /// In buckets that do not overlap: what costs and sums are made of.
    pub counted: Usage<'a>,
    /// What overlapped.
    pub parts: Vec<Part<'a>>,
    pub cost: Option<Cost<'a>>,
    /// Why its tokens are not in the trace's.
    pub usage_left_out: Option<Why>,
    pub cost_left_out: Option<Why>,
}

/// Distinct names kept of services and languages.
const NAMES_MAX: usize = 100;
/// Keys of metadata kept of a trace.
const METADATA_MAX: usize = 256;

impl<'a> Trace<'a> {
    /// Spans read at most.
    pub const OBSERVATIONS_MAX: usize = 10_000;
    /// Heap bytes the index of a trace may take while it is read.
    const INDEX_BYTES_MAX: usize = 16 << 20;

    /// Reads the body of an ExportTraceServiceRequest that holds one trace. Costs a walk and some
    /// allocations a span: never call it on a lane. Without `prices` only given costs are known.
    pub fn read(body: &'a [u8], prices: Option<&'a Prices>) -> Self {
        let limits = Limits { index_bytes: Self::INDEX_BYTES_MAX, ..Limits::default() };
        let index = walk(Signal::Traces, body, Detail::Spans, &limits).unwrap_or_default();
        let id = index.spans.first().map(|span| span.trace).unwrap_or_default();
        let all = read_spans(body, &index);
        let left_out = (index.spans.len() - all.len()) as u64;
        Self::of(id, all, left_out, prices)
    }

    /// Of the observations of one trace, in any order. `left_out`: spans that are not among them.
    pub fn of(id: TraceId, mut all: Vec<Observation<'a>>, left_out: u64, prices: Option<&'a Prices>) -> Self {
        all.sort_by_key(|observation| (observation.start, observation.id));
        let read = all.len();
        let mut seen = HashSet::with_capacity(read);
        all.retain(|observation| seen.insert(observation.id));
        let duplicates = (read - all.len()) as u64;

        let mut complaints = Complaints::default();
        all.iter().for_each(|observation| complaints.append(observation.complaints()));
        let times: Vec<_> = all.iter().map(|o| (o.start, o.end.max(o.start))).collect();
        let tree = Tree::of(&all.iter().map(|o| (o.id, o.parent)).collect::<Vec<_>>());
        let root = root(&all, &tree);
        let critical_path = root.map(|root| path::critical(&tree, &times, root)).unwrap_or_default();
        let critical_path = critical_path.iter().filter_map(|at| Some(all.get(*at)?.id)).collect();
        let place = root.and_then(|root| tree.order.iter().position(|at| *at == root));

        let mut rows = rows(all, &tree, prices);
        leave_out_doubles(&mut rows);
        let timestamp = times.iter().map(|time| time.0).min().unwrap_or(0);
        let end = times.iter().map(|time| time.1).max().unwrap_or(0);
        let said = Spoken::of(&rows, place);
        let mut levels = Levels::default();
        rows.iter().for_each(|row| levels.count(row.level));
        let mut usage = Usage::default();
        rows.iter().filter(|row| row.usage_left_out.is_none()).for_each(|row| usage.add(&row.counted));
        Self {
            id,
            name: said.name(),
            timestamp,
            latency: Duration::from_nanos(end.saturating_sub(timestamp)),
            input: said.first(Observation::trace_input).or_else(|| said.root()?.input()),
            output: said.first(Observation::trace_output).or_else(|| said.root()?.output()),
            user: said.first(Observation::user),
            session: said.first(Observation::session),
            environment: said.first(Observation::environment),
            release: said.first(Observation::release),
            version: said.version(),
            tags: said.tags(),
            metadata: said.metadata(),
            public: rows.iter().any(|row| row.observation.public() == Some(true)),
            levels,
            errors: levels.error,
            usage: if rows.iter().all(|row| row.counted.is_empty()) { Usage::default() } else { usage },
            cost: sum(&rows, &mut complaints),
            observation_count: rows.len() as u64 + left_out,
            duplicates,
            root: place,
            services: names(&rows, |around| around.service.unwrap_or(UNKNOWN_SERVICE)),
            languages: names(&rows, |around| around.language.unwrap_or_default()),
            critical_path,
            complaints,
            observations: rows,
        }
    }

    /// Distinct spans that were not read.
    pub fn left_out(&self) -> u64 {
        self.observation_count.saturating_sub(self.observations.len() as u64)
    }

    /// Rows whose tokens or cost are not in the sums.
    pub fn doubles(&self) -> impl Iterator<Item = &Row<'a>> {
        self.observations.iter().filter(|row| {
            row.usage_left_out.is_some() || row.cost_left_out.is_some() || !row.parts.is_empty()
        })
    }
}

fn read_spans<'a>(body: &'a [u8], index: &Index) -> Vec<Observation<'a>> {
    let pieces = |(from, to): (u32, u32)| {
        let pieces = index.pieces.get(from as usize..to as usize).unwrap_or_default();
        pieces.iter().map(|piece| piece.of(body))
    };
    let around = |scope: &crate::wire::walk::ScopeEntry| {
        let resource = index.resources.get(scope.resource as usize).map(|resource| resource.head.first);
        Around::of(pieces(resource.unwrap_or_default()), pieces(scope.head.first))
    };
    let arounds: Vec<Around<'a>> = index.scopes.iter().map(around).collect();
    let taken = index.spans.iter().take(Trace::OBSERVATIONS_MAX);
    let around_of = |scope: u32| arounds.get(scope as usize).copied().unwrap_or_default();
    taken.map(|span| Observation::of(span.body.of(body), around_of(span.scope))).collect()
}

/// Who speaks for the trace, among observations by start: one without a parent; else, of those whose
/// parent never came, one marked `langfuse.internal.as_root`, one marked `is_app_root`, or the first; in a
/// ring of parents the first of all. A mark on a span whose parent is here says nothing.
pub fn root(all: &[Observation<'_>], tree: &Tree) -> Option<usize> {
    let is_orphan = |at: &usize| tree.orphan.get(*at).copied().unwrap_or(false);
    let first = |wanted: &dyn Fn(&Observation<'_>) -> bool| {
        let matches = |at: &usize| all.get(*at).is_some_and(wanted);
        (0..all.len()).filter(is_orphan).find(matches)
    };
    let parentless = all.iter().position(|observation| observation.parent.is_none());
    parentless
        .or_else(|| first(&|observation| observation.is_as_root()))
        .or_else(|| first(&|observation| observation.is_app_root()))
        .or_else(|| first(&|_| true))
        .or_else(|| tree.order.first().copied())
}

/// In the order of the tree.
fn rows<'a>(all: Vec<Observation<'a>>, tree: &Tree, prices: Option<&'a Prices>) -> Vec<Row<'a>> {
    let mut all: Vec<Option<Observation<'a>>> = all.into_iter().map(Some).collect();
    let taken = tree.order.iter().filter_map(|at| {
        let observation = all.get_mut(*at)?.take()?;
        let depth = tree.depth.get(*at).copied().unwrap_or(0);
        Some(Row::of(observation, depth, tree.orphan.get(*at) == Some(&true), prices))
    });
    taken.collect()
}

impl<'a> Row<'a> {
    fn of(observation: Observation<'a>, depth: u32, orphan: bool, prices: Option<&'a Prices>) -> Self {
        let usage = observation.usage();
        let (counted, parts) = doubles::apart(&usage);
        let by_table = || {
            let parameter = |name: &str| observation.model_parameter(name).map(Cow::into_owned);
            prices?.cost(&observation.model()?, &counted, parameter)
        };
        let cost = observation.given_cost().or_else(by_table);
        let (kind, level) = (observation.kind(), observation.level());
        Self {
            observation,
            depth,
            orphan,
            kind,
            level,
            usage,
            counted,
            parts,
            cost,
            usage_left_out: None,
            cost_left_out: None,
        }
    }

    /// What it says of its tokens, if it says anything.
    fn tokens(&self) -> Option<u64> {
        Some(self.counted.total()).filter(|_| !self.counted.is_empty())
    }
}

/// From the leaves up: `rows` are depth first, so those below a row follow it. Open sums by depth.
fn leave_out_doubles(rows: &mut [Row<'_>]) {
    let mut tokens: Vec<(u32, Option<u64>)> = Vec::new();
    let mut costs: Vec<(u32, Option<super::decimal::Decimal>)> = Vec::new();
    for row in rows.iter_mut().rev() {
        let below = gather(&mut tokens, row.depth, |a, b| Some(u64::saturating_add(a, b)));
        let claim = Claim { own: row.tokens(), below };
        row.usage_left_out = claim.is_double(row.kind);
        let own = claim.own.filter(|_| row.usage_left_out.is_none());
        tokens.push((row.depth, join(own, below, |a, b| Some(u64::saturating_add(a, b)))));

        let below = gather(&mut costs, row.depth, super::decimal::Decimal::checked_add);
        let claim = Claim { own: row.cost.as_ref().map(|cost| cost.total), below };
        let from_tokens = row.cost.as_ref().is_some_and(|cost| !cost.is_given());
        let by_tokens = row.usage_left_out.filter(|_| from_tokens);
        row.cost_left_out = by_tokens.or_else(|| claim.is_double(row.kind));
        let own = claim.own.filter(|_| row.cost_left_out.is_none());
        costs.push((row.depth, join(own, below, super::decimal::Decimal::checked_add)));
    }
}

/// Takes the sums of all that stand deeper off the stack.
fn gather<T: Copy>(open: &mut Vec<(u32, Option<T>)>, depth: u32, add: fn(T, T) -> Option<T>) -> Option<T> {
    let mut sum = None;
    while let Some((_, more)) = open.pop_if(|(below, _)| *below > depth) {
        sum = join(sum, more, add);
    }
    sum
}

/// A sum that does not fit stays what it was: only whether it is one matters then.
fn join<T: Copy>(a: Option<T>, b: Option<T>, add: fn(T, T) -> Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => add(a, b).or(Some(a)),
        (a, b) => a.or(b),
    }
}

fn sum<'a>(rows: &[Row<'a>], complaints: &mut Complaints<'a>) -> Option<cost::Sum> {
    let mut sum: Option<cost::Sum> = None;
    for cost in rows.iter().filter(|row| row.cost_left_out.is_none()).filter_map(|row| row.cost.as_ref()) {
        match sum.unwrap_or_default().plus(cost) {
            Some(more) => sum = Some(more),
            None => complaints.add("cost", Problem::TooLarge),
        }
    }
    sum
}

/// What the spans of a trace say of it, the root first.
struct Spoken<'r, 'a> {
    rows: &'r [Row<'a>],
    root: Option<&'r Row<'a>>,
}

impl<'r, 'a> Spoken<'r, 'a> {
    fn of(rows: &'r [Row<'a>], root: Option<usize>) -> Self {
        Self { rows, root: root.and_then(|root| rows.get(root)) }
    }

    fn root(&self) -> Option<&'r Observation<'a>> {
        self.root.map(|row| &row.observation)
    }

    fn speakers(&self) -> impl Iterator<Item = &'r Observation<'a>> {
        let root = self.root;
        let others = self.rows.iter().filter(move |row| root.is_none_or(|root| !std::ptr::eq(root, *row)));
        root.into_iter().chain(others).map(|row| &row.observation)
    }

    fn first<T>(&self, say: impl Fn(&Observation<'a>) -> Option<T>) -> Option<T> {
        self.speakers().find_map(say)
    }

    /// Said for the trace, else the root's own.
    fn name(&self) -> Cow<'a, str> {
        let root = self.root().map(Observation::name).filter(|name| !name.is_empty());
        self.first(Observation::given_trace_name)
            .or(root)
            .or_else(|| self.first(Observation::trace_name))
            .unwrap_or_default()
    }

    /// Everybody's, each once.
    /// What a span says, else the version of the root's service: that of another service is not the trace's.
    fn version(&self) -> Option<Cow<'a, str>> {
        let own = |observation: &Observation<'a>| {
            observation.version().filter(|said| Some(&**said) != observation.around.service_version)
        };
        self.first(own).or_else(|| self.root()?.version())
    }

    fn tags(&self) -> Tags<'a> {
        let mut all = Tags::default();
        for tags in self.speakers().map(Observation::tags) {
            all.odd |= tags.odd;
            all.left_out += tags.left_out;
            for tag in tags.list {
                if all.list.contains(&tag) {
                    continue;
                }
                if all.list.len() < TAGS_MAX { all.list.push(tag) } else { all.left_out += 1 }
            }
        }
        all
    }

    fn metadata(&self) -> Vec<(&'a str, Value<'a>)> {
        let mut all: Vec<(&'a str, Value<'a>)> = Vec::new();
        let mut seen = HashSet::new();
        for (key, value) in self.speakers().flat_map(Observation::trace_metadata) {
            if all.len() < METADATA_MAX && seen.insert(key) {
                all.push((key, value));
            }
        }
        all
    }
}

/// Distinct names that say something, in the order of the tree.
fn names<'a>(rows: &[Row<'a>], name: impl Fn(&Around<'a>) -> &'a str) -> Vec<&'a str> {
    let mut names: Vec<&'a str> = Vec::new();
    for name in rows.iter().map(|row| name(&row.observation.around)) {
        if names.len() < NAMES_MAX && !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests;
