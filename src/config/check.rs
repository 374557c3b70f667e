//! The filled table -> a [`Plan`], or what does not fit together in it. Upstreams: see `upstreams`.

use tracing::level_filters::LevelFilter;

use super::field::Slot;
use super::files::Files;
use super::mistake::{Mistake, quoted};
use super::raw::{self, Raw};
use super::source::Source;
use super::surroundings::Surroundings;
use super::upstreams;
use super::words::{Format, Level, ListenAt, Notes, Properties, Scope, Word};
use super::{LabelsFrom, Plan};
use crate::page::links::Links;
use crate::receive::Listen;
use crate::rules::{Upstreams, stamp};
use crate::semantics::Dialect;
use crate::semantics::claims::Has;
use crate::telemetry::logs;
use crate::wire::Signal;
use crate::{export, join, queue, receive, rules};

/// What a check works with.
pub struct Check<'a> {
    pub file: &'a str,
    pub files: &'a mut Files,
    pub surroundings: &'a Surroundings,
    pub mistakes: &'a mut Vec<Mistake>,
    pub notes: &'a mut Vec<String>,
}

impl Check<'_> {
    /// Checks everything, whatever was wrong before. The plan is only good without mistakes.
    pub fn plan(&mut self, raw: &mut Raw) -> Plan {
        let listen = self.listen(raw);
        let notes = self.notes_join(raw);
        let upstreams = self.upstreams(raw, &listen, notes);
        let memory = raw.memory.value.map_or(0, |size| size.0);
        self.labels(raw);
        let stamps = self.stamps(raw);
        let particulars = self.particulars(raw);
        let scores = self.scores(raw, notes, &upstreams);
        let takers = upstreams.iter().map(|upstream| (upstream.name.clone(), upstream.signals));
        let (rules, _) = self.rules(&raw.rules, Upstreams::of(takers));
        self.routed(&rules, &upstreams);
        let exact = |upstream: &export::Settings| upstream.exact && upstream.base.is_some();
        let exact = upstreams.iter().find(|upstream| exact(upstream));
        Plan {
            receive: receive::Settings {
                signals: upstreams::taken(&upstreams),
                traces_at: exact.map(|upstream| upstream.endpoint.path().to_owned()),
                evaluations: scores.is_some(),
                notes: notes && upstreams::taken(&upstreams).has(Signal::Traces),
                ..self.edge(raw, listen, memory)
            },
            labels: rules::labels::Settings {
                namespaces: self.namespaces(&raw.environment),
                environment_header: self.environment_header(&raw.environment),
                ..labels(raw)
            },
            stamps,
            particulars: particulars.clone(),
            rules: rules.clone(),
            labels_from: self.labels_from(raw),
            join: self.join(raw, memory, stamps).map(|join| {
                let context = join.context || particulars.of_usage() || rules.reads().trace;
                let named = join.mend || stamps.properties.has(Has::NAME) || rules.reads().trace;
                join::Settings { notes, context, named, evaluations: scores.is_some(), ..join }
            }),
            scores,
            batch: self.batch(raw, memory),
            recent: self.recent(raw, memory, upstreams.is_empty()),
            links: self.links(&raw.ui, &upstreams),
            rollup_metrics: raw.rollups.metrics.value,
            upstreams,
            memory,
            memory_follows: matches!(raw.memory.from, Source::Derived(_)),
            drain: raw.drain.value,
            admin: raw.admin.value.0,
            probes: raw.probes.value.0,
            lanes: raw.lanes.value,
            log: log(&raw.log),
            notes: Vec::new(),
            refused: None,
        }
    }

    pub(super) fn note(&mut self, from: &Source, text: impl Into<String>) {
        self.mistakes.push(Mistake::new(from.clone(), text));
    }

    fn listen(&mut self, raw: &Raw) -> Vec<Listen> {
        let raw::Receive { grpc, http, unix, .. } = &raw.receive;
        let mut listen: Vec<Listen> = Vec::new();
        for (path, slot) in [("receive.grpc", grpc), ("receive.http", http)] {
            let ListenAt::At(at) = &slot.value else { continue };
            if is_taken(at, &listen) {
                let hint =
                    format!("every listener speaks gRPC and HTTP, so one is enough: write `{path}: off`");
                let text = format!("`{path}`: {} is listened on already; {hint}", show(&slot.value));
                self.note(&slot.from, text);
            }
            listen.push(at.clone());
        }
        if let Some(path) = &unix.value {
            if !path.is_absolute() {
                let hint = "write it like `/run/spandrel.sock`";
                let text =
                    format!("`receive.unix`: {} is not an absolute path; {hint}", quoted(&show(&unix.value)));
                self.note(&unix.from, text);
            }
            listen.push(Listen::Unix(path.clone()));
        }
        if listen.is_empty() {
            self.note(&grpc.from, "`receive`: nothing to listen on; give `grpc`, `http` or `unix`");
        }
        if let Some(admin) = raw.admin.value.0
            && is_taken(&Listen::Tcp(admin), &listen)
        {
            let from = if raw.admin.from == Source::Default { &grpc.from } else { &raw.admin.from };
            self.note(from, format!("`admin`: {admin} is listened on for OTLP already"));
        }
        if let Some(probes) = raw.probes.value.0 {
            let admin = raw.admin.value.0.map(Listen::Tcp);
            if is_taken(&Listen::Tcp(probes), &listen.iter().cloned().chain(admin).collect::<Vec<_>>()) {
                let hint = "give it a port of its own, like 8890";
                let text = format!("`probes`: {probes} is listened on already; {hint}");
                self.note(&raw.probes.from, text);
            }
        }
        listen
    }

    /// Keeps `low` at or below `high`. A default gives way (`print-config` says so); of two values that
    /// were written, only the user knows which is meant.
    pub(super) fn at_most<W: Word>(&mut self, low: (&str, &mut Slot<W>), high: (&str, &Slot<W>)) {
        let ((low_name, low), (high_name, high)) = (low, high);
        if low.value <= high.value {
            return;
        }
        if low.from == Source::Default {
            low.put(high.value.clone(), Source::Derived(format!("no more than `{high_name}`")));
            return;
        }
        let (low_shown, high_shown) = (quoted(&show(&low.value)), quoted(&show(&high.value)));
        let hint = "lower the one or raise the other";
        let text = format!("`{low_name}` {low_shown} is more than `{high_name}` {high_shown}; {hint}");
        self.note(&low.from, text);
    }

    /// Whether log records join their spans: left to us, where a server takes no logs and looks for their
    /// content among its spans' events.
    fn notes_join(&mut self, raw: &Raw) -> bool {
        let logs = &raw.join.logs;
        let joins = raw.join.scope.value != Scope::Off;
        if logs.value == Notes::On && !joins {
            let hint = "spans that are not held can not be joined; leave `join.logs` out";
            self.note(&logs.from, format!("`join.logs` is `on`, but `join.scope` is `off`: {hint}"));
        }
        let wanted = match logs.value {
            Notes::Auto => raw.dialect.value.reads_langfuse(),
            Notes::On => true,
            Notes::Off => false,
        };
        joins && wanted
    }

    /// Evaluations are events that the join knows the span of, and only vendors have scores.
    fn scores(&mut self, raw: &Raw, notes: bool, upstreams: &[export::Settings]) -> Option<Dialect> {
        let (evaluations, dialect) = (&raw.scores.evaluations, raw.dialect.value);
        if !evaluations.value {
            return None;
        }
        if !dialect.reads_langfuse() {
            let hint = "set `dialect` to the vendor whose they are to be";
            let text = format!("`scores.evaluations`: the dialect `otel` has no scores; {hint}");
            self.note(&evaluations.from, text);
        } else if !notes {
            let hint = "leave `join.logs` and `join.scope` out";
            let text = format!("`scores.evaluations` needs log records that join their spans; {hint}");
            self.note(&evaluations.from, text);
        } else if !upstreams.iter().any(|upstream| upstream.base.is_some()) {
            self.notes.push("`scores.evaluations`: without the vendor's upstream none are posted".to_owned());
            return None;
        }
        Some(dialect)
    }

    /// What a trace says of itself is known where the whole of it is joined, and nowhere else.
    fn stamps(&mut self, raw: &mut Raw) -> stamp::Settings {
        let dialect = raw.dialect.value;
        let whole = raw.join.scope.value == Scope::Trace;
        let usual = match dialect {
            Dialect::Otel => Has::NONE,
            Dialect::Langfuse | Dialect::InteractiveAi => stamp::Settings::all(dialect),
        };
        let properties = raw.context.value.map_or(usual, |Properties(asked)| asked);
        let beyond = stamp::Settings::all(dialect).lacks(properties);
        if !beyond.is_none() {
            let shown = show(&Properties(beyond));
            let hint = "leave it out, or set `dialect` to a vendor's";
            let text =
                format!("`context`: the dialect `otel` has no attribute for {}; {hint}", quoted(&shown));
            self.note(&raw.context.from, text);
        }
        if raw.context.value.is_none() {
            let from = Source::Derived(format!("the dialect {}", dialect.name()));
            raw.context.put(Some(Properties(usual)), from);
        } else if !whole && !properties.is_none() {
            let hint = "write it where they are joined, at the gateway";
            self.note(
                &raw.context.from,
                format!("`context` needs whole traces, `join.scope: trace`; {hint}"),
            );
        }
        stamp::Settings { dialect, properties: if whole { properties } else { Has::NONE } }
    }

    fn join(&mut self, raw: &mut Raw, memory: usize, stamps: stamp::Settings) -> Option<join::Settings> {
        let release_key = raw.release_key.value.as_str().into();
        let raw::Join { scope, quiet, idle, hold, .. } = &mut raw.join;
        self.at_most(("join.idle", idle), ("join.hold", hold));
        self.at_most(("join.quiet", quiet), ("join.idle", idle));
        let scope = match scope.value {
            Scope::Trace => join::Scope::Trace,
            Scope::Local => join::Scope::Local,
            Scope::Off => return None,
        };
        Some(join::Settings {
            scope,
            quiet: quiet.value,
            idle: idle.value,
            hold: hold.value,
            // The rest is for requests at the edge and batches on their way out.
            held_bytes_max: memory / 4 * 3,
            context: !stamps.properties.is_none(),
            mend: stamps.dialect.reads_langfuse() && scope == join::Scope::Trace,
            release_key,
            ..join::Settings::default()
        })
    }

    fn batch(&mut self, raw: &mut Raw, memory: usize) -> queue::batcher::Settings {
        let bytes = &mut raw.batch.bytes;
        for (name, _, upstream) in &raw.upstreams.entries {
            let most = format!("upstreams.{name}.max_request");
            self.at_most(("batch.bytes", bytes), (&most, &upstream.max_request));
        }
        if bytes.value.0 > memory {
            let text = format!("`batch.bytes` {} is more than `memory`", quoted(&show(&bytes.value)));
            self.note(&bytes.from, text);
        }
        queue::batcher::Settings { bytes: bytes.value.0, age: raw.batch.age.value }
    }

    fn recent(&mut self, raw: &Raw, memory: usize, here: bool) -> usize {
        let recent = raw.recent.value.map_or(if here { memory / 8 } else { 0 }, |size| size.0);
        if recent > memory / 2 {
            let text = format!("`recent` {} is more than half of `memory`", quoted(&show(&raw.recent.value)));
            self.note(&raw.recent.from, text);
        }
        recent
    }

    fn links(&mut self, ui: &raw::Ui, upstreams: &[export::Settings]) -> Links {
        // A variable may lead an SDK to us; what a vendor's dialect sends to is the server.
        let server = upstreams.iter().find_map(|upstream| Some(upstream.base.as_ref()?.to_string()));
        let is_written = !matches!(ui.url.from, Source::Default | Source::Borrowed(_));
        let given = if is_written { None } else { server }.or_else(|| ui.url.value.clone());
        let given = given.as_deref().map(|url| url.trim_end_matches('/'));
        let is_base = |url: &str| {
            let behind = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
            behind.is_some_and(|host| !host.is_empty() && !host.contains([' ', '?', '#']))
        };
        let url = given.filter(|url| is_base(url)).map(str::to_owned);
        if let (Some(given), None) = (given, &url) {
            let hint = "write it like `https://cloud.example.com`";
            self.note(&ui.url.from, format!("`ui.url`: {} is no base URL; {hint}", quoted(given)));
        }
        Links { url, project: ui.project.value.clone() }
    }

    /// Two settings must not write one attribute: keys are unique (conformance A9).
    fn labels(&mut self, raw: &Raw) {
        let mut written = Vec::new();
        if raw.environment.is_some() {
            written.push(("deployment.environment.name", "environment"));
            written.extend(
                raw.legacy_environment.value.then_some(("deployment.environment", "legacy_environment")),
            );
        }
        if raw.release.value.is_some() {
            let key = raw.release_key.value.as_str();
            if let Some((_, by)) = written.iter().find(|(attribute, _)| *attribute == key) {
                self.note(
                    &raw.release_key.from,
                    format!("`release_key`: {} is what `{by}` writes", quoted(key)),
                );
            }
            written.push((key, "release"));
        }
        for (key, slot) in &raw.resource.entries {
            if let Some((_, by)) = written.iter().find(|(attribute, _)| attribute == key) {
                self.note(
                    &slot.from,
                    format!("`resource`: {} is what `{by}` writes; give one of them", quoted(key)),
                );
            }
        }
    }

    fn labels_from(&self, raw: &Raw) -> LabelsFrom {
        let from = |slot: &Slot<Option<String>>| slot.value.is_some().then(|| slot.from.describe(self.file));
        LabelsFrom { environment: from(&raw.environment.own), release: from(&raw.release) }
    }
}

fn labels(raw: &Raw) -> rules::labels::Settings {
    rules::labels::Settings {
        environment: raw.environment.own.value.clone(),
        release: raw.release.value.clone(),
        release_key: raw.release_key.value.clone(),
        legacy_environment: raw.legacy_environment.value,
        resource: raw.resource.entries.iter().map(|(key, slot)| (key.clone(), slot.value.clone())).collect(),
        enforce: raw.enforce.value,
        dialect: raw.dialect.value,
        translate: raw.join.scope.value != Scope::Local,
        ..rules::labels::Settings::default()
    }
}

fn log(log: &raw::Log) -> logs::Settings {
    logs::Settings {
        level: match log.level.value {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        },
        format: match log.format.value {
            Format::Auto => logs::Format::Auto,
            Format::Text => logs::Format::Text,
            Format::Json => logs::Format::Json,
        },
    }
}

/// Port 0 is any free port, so it never clashes.
fn is_taken(at: &Listen, listen: &[Listen]) -> bool {
    listen.contains(at) && !matches!(at, Listen::Tcp(address) if address.port() == 0)
}

pub(super) fn show(word: &impl Word) -> String {
    word.show().unwrap_or_default()
}
