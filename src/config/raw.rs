//! Everything a user can write: the one table of settings.
//!
//! Each line gives a leaf its name, type, default and bounds; the comment above it is its entry in
//! docs/config.md. The file, `SPANDREL_*`, `--set`, `print-config` and the reference all read this.

use std::path::PathBuf;
use std::time::Duration;

use super::environment::Environment;
use super::field::{Named, Pairs, Slot, Texts, group};
use super::rule_list::RuleList;
use super::words::{
    AddressOrOff, Compression, Format, Level, ListenAt, Mode, Notes, Properties, Protocol, Scope, Size,
};
use crate::semantics::Dialect;
use crate::wire::Signals;

group! {
    /// The whole configuration, as the user says it.
    Raw {
        /// Where requests come in.
        receive: Receive;
        /// Short for one upstream: the `endpoint` of `upstreams.default`, or as a map all of it. Without any
        /// upstream, joined traces are shown and kept here, and nothing is forwarded.
        upstream: Slot<Option<String>> = "";
        /// Where data goes, by a name of your choice, which is also the `upstream` label of metrics. Every
        /// upstream gets everything of its `signals`, through a queue and retries of its own. The same
        /// variables as an SDK's (`OTEL_EXPORTER_OTLP_*`) make upstreams when there is none here.
        upstreams: Named<Upstream>;
        /// What the backend understands beyond OTLP. `otel` writes nothing that is a vendor's. With `langfuse` or
        /// `interactiveai`, `upstream` (that is, `upstreams.default`) is the address of its server, like
        /// `https://langfuse.example.com`: spans go to its OTLP endpoint, and nothing else does; what else an SDK
        /// asks, whose host is set to Spandrel, is handed on to it. Address and keys not given come from the
        /// variables of its SDK (`LANGFUSE_*`, `INTERACTIVEAI_*`): `BASE_URL`, `HOST`, `PUBLIC_KEY`, `SECRET_KEY`,
        /// `OTEL_TRACES_EXPORT_PATH`; `OTEL_EXPORTER_OTLP_*` is not asked then. Other upstreams are plain OTLP.
        dialect: Slot<Dialect> = "otel";
        /// With a vendor's dialect, the project that callers without `authorization` of their own send to.
        keys: Keys;
        /// What a joined trace says of itself and is written on those of its spans that lack it: `name`, `user`,
        /// `session`, `version`, `tags`, `metadata`, or `none`. The span nearest to the root is believed. Not
        /// given, all of it with a vendor's dialect, whose server wants it on every span, and nothing with `otel`,
        /// which has names for `user` (`user.id`) and `session` (`session.id`) only. Needs whole traces: nothing
        /// is written where `join.scope` is not `trace`.
        context: Slot<Option<Properties>> = "";
        /// Written as `deployment.environment.name` on every resource that does not say its own; with a
        /// vendor's dialect also as `langfuse.environment`, in the form its server gives it. Found elsewhere when
        /// not given: see "Environment and release" below. A text; or a mapping of the settings below, where it
        /// is the request's or the namespace's to say. A text takes the place of the whole mapping.
        environment: Environment;
        /// Written as `release_key` on every resource that lacks it. Found elsewhere when not given: see
        /// "Environment and release" below.
        release: Slot<Option<String>> = "";
        /// The resource attribute the release is written as. With a vendor's dialect it is `langfuse.release`
        /// unless you say otherwise, and that is written beside another: its server shows `service.version` as
        /// the version of every observation, which people set to compare prompts.
        release_key: Slot<String> = "service.version";
        /// Also write the deprecated `deployment.environment`, for backends that still read it.
        legacy_environment: Slot<bool> = "false";
        /// Overwrite what resources say themselves. Off, what a service says of itself stands.
        enforce: Slot<bool> = "false";
        /// Further attributes for every resource that lacks them.
        resource: Pairs;
        /// What is to be changed, dropped or sampled, in OTTL, the language of the Collector's `transform` and
        /// `filter` processors, with `drop()`, `sample(rate)`, `mask(target, what)` and paths to `root`, `parent`
        /// and `trace` beside it. An entry is a statement, or a group: `name`, `context`, `conditions` (the
        /// statements run where any of them holds), `statements`, and `error_mode`: `ignore` (the default: what
        /// fails is counted and told once), `silent` (counted), `propagate` (the item goes on as it came). Rules
        /// run in this order, on what is about to be sent: first those about resources, then about scopes, then
        /// about items. `Lookup("services.csv", key)` is what stands beside a key in the second column of a CSV file
        /// (in another with `column="name"`; paths begin at the directory of the configuration), `header["x-tenant"]` what the request of each item said, `peer.address`
        /// who sent it (on a UNIX socket: nil).
        /// `spandrel try` shows what rules do to a captured export.
        ///
        /// `sample(rate)` is decided once for a whole trace, as OpenTelemetry's probability sampling says: by the
        /// trace's randomness (`rv`, else its id), so that whatever samples the same way keeps the same traces. A
        /// trace that any rule samples is kept at the lowest rate asked; each span that stays says `ot=th`, the
        /// higher of its own and this. What no rule samples stays and says nothing of it, so an error is always
        /// kept by `sample(0.1) where trace.errors == 0`. Parts of a trace that come late follow what was decided,
        /// for ten minutes, while it is remembered. Ask for what a whole trace is known by where it is joined:
        /// with `join.scope: local` a sidecar knows its own part only.
        ///
        /// An entry `llm_only` (or `preset: llm_only`) keeps the spans that are about models, by the filter of the
        /// SDKs of Langfuse and InteractiveAI: their own, those with `gen_ai.*` attributes, those of libraries known
        /// to instrument models; `langfuse.*`, OpenInference and OpenLLMetry too. The others are dropped, and their
        /// children move.
        ///
        /// An entry `from_collector: file.yaml`, or `rules: {from_collector: file.yaml}`, takes the `transform` and
        /// `filter` processors of a Collector's configuration as they are. Its path is relative to this file;
        /// `${env:NAME}` in it is what it is for the Collector, empty where nothing is set. Which processors apply to
        /// a signal, and in which order, `service.pipelines` says; without it they stand in the file's order; or
        /// `processors: [transform/a, filter]` names them. What can not be done here is refused, with the line of
        /// the Collector's file and the reason; with `unsupported: skip` it is left out and told instead. Not
        /// supported are the processors' own functions but `convert_sum_to_gauge` and `convert_gauge_to_sum`;
        /// `include` and `exclude`; exemplars and profiles; a statement that writes to a resource from what is in it,
        /// and one that changes a resource behind a rule that reads what is changed: rules about resources run first.
        /// Three things are done otherwise: the children of a span that `filter` drops move to the nearest ancestor
        /// that is kept; a statement runs on what it writes, once, where the Collector runs a whole list on the
        /// innermost thing it names; with `error_mode: propagate` an item that fails goes on as it came, where the
        /// Collector drops the whole request.
        rules: RuleList;
        /// How spans of one trace are held until it is whole.
        join: Join;
        /// Tokens and cost of calls to models.
        usage: Usage;
        /// What of the telemetry becomes scores at a vendor's.
        scores: Scores;
        /// When a batch is closed and sent.
        batch: Batch;
        /// Bytes held in all: requests, open traces, batches. Full, callers are told to try again later.
        /// Not given, a quarter of the cgroup's limit; where there is none, 256MiB.
        memory: Slot<Option<Size>> = "" in "4MiB" to "1024GiB";
        /// How long the end may take: after SIGTERM no requests are taken, and what is held is sent within this
        /// time, traces first. What is left then is lost, and told. A sidecar of Kubernetes may have two seconds.
        drain: Slot<Duration> = "10s" in "100ms" to "1h";
        /// Workers that join, label and batch. A trace always lands in the same one. One is right beside a service,
        /// and on one or two cores it shares the thread of the sockets; a gateway takes one for each core.
        lanes: Slot<usize> = "1" in "1" to "256";
        /// Where `/metrics`, `/livez`, `/readyz`, `/tracez`, the local page and `spandrel tail` are served;
        /// `off`: nowhere. Whoever reaches it can read traces: keep it on loopback or behind a policy.
        admin: Slot<AddressOrOff> = "127.0.0.1:8888";
        /// Where `/metrics`, `/livez` and `/readyz` alone are served, which tell nothing of traces: for those who
        /// ask from outside the pod or machine, like the kubelet and Prometheus. `0.0.0.0:8890` in a pod.
        probes: Slot<AddressOrOff> = "off";
        /// Bytes of the latest joined traces that are kept for `/traces`, out of `memory`. Not given, an eighth
        /// of it where nothing is forwarded, else none: each trace is copied once more for it.
        recent: Slot<Option<Size>> = "" in "0B" to "64GiB";
        /// Where people look at traces, for `spandrel url` and `/url`.
        ui: Ui;
        /// What traces add up to.
        rollups: Rollups;
        /// What Spandrel says about itself, on standard error.
        log: Log;
    }
}

group! {
    /// The keys of a project at a vendor, as its SDK has them.
    Keys {
        /// The public key.
        public: Slot<Option<String>> = "";
        /// The secret key. Write it as `${env:NAME}`, not into the file.
        secret: Slot<Option<String>> = "";
    }
}

group! {
    /// Where requests come in.
    Receive {
        /// The OTLP/gRPC port by custom; both listeners speak gRPC and HTTP, and content type decides.
        /// `unix:/path` listens on a socket, `off` not at all. Listen on `0.0.0.0:4317` only where
        /// others than this pod or machine must reach it.
        grpc: Slot<ListenAt> = "127.0.0.1:4317";
        /// The OTLP/HTTP port by custom; otherwise as `grpc`.
        http: Slot<ListenAt> = "127.0.0.1:4318";
        /// The path of a UNIX socket to listen on beside the two ports. gRPC clients that send the path as
        /// `:authority` (Python, Java) must be told to send `localhost`, in Python by the channel option
        /// `grpc.default_authority`: HTTP/2 knows no paths there, and such calls are reset.
        unix: Slot<Option<PathBuf>> = "";
        /// Who may connect to UNIX sockets, as the mode of their files: `0660` for owner and group. Not
        /// given, the process's umask decides.
        unix_mode: Slot<Option<Mode>> = "";
        /// TLS on the TCP listeners, for gRPC and HTTP alike.
        tls: ServerTls;
        /// Who may send. Without any of these, whoever reaches a listener. With several, whoever has any
        /// one. A caller shows its credential in `authorization`, which then does not travel upstream; or,
        /// where `authorization` is meant for the upstream, in `proxy-authorization`. `grpc.health.v1` asks
        /// for none.
        auth: Auth;
        /// Origins of web pages that may send from a browser, like `https://shop.example.com`; `*` for all.
        /// Not given, none may.
        cors: Texts;
        /// A connection is told to go at this age, give or take a tenth, and what is in flight finishes
        /// within 30 s. Set it where several replicas share the load: callers then spread anew. Not given,
        /// connections stay.
        max_connection_age: Slot<Option<Duration>> = "" in "1s" to "24h";
        /// Largest request, on the wire and again inflated. Larger ones are refused for good, so callers
        /// do not send them again. Never more than `memory` in effect.
        max_request: Slot<Size> = "64MiB" in "1KiB" to "1GiB";
        /// Largest reply, before compression. What says why items were refused is cut to fit; the count of
        /// them never is.
        max_response: Slot<Size> = "4MiB" in "1B" to "64MiB";
        /// Take JSON that OTLP does not allow but some senders write: names in snake_case, enums as text.
        /// Off, such a name is passed over and its sender told so, and such an enum refused.
        lenient_json: Slot<bool> = "false";
        /// Connections open at once, over all listeners; one more is closed as it comes, and counted. An
        /// SDK keeps one or two. Each costs a few kilobytes that `memory` does not count.
        max_connections: Slot<usize> = "4096" in "1" to "1000000";
        /// How long callers may take.
        timeouts: Timeouts;
    }
}

group! {
    /// How long callers may take. Whoever takes longer is let go; nobody else waits for them.
    Timeouts {
        /// From a request's first byte to the end of its headers.
        head: Slot<Duration> = "10s" in "10ms" to "10m";
        /// The longest silence inside a body.
        body: Slot<Duration> = "30s" in "10ms" to "10m";
        /// A whole body, however steadily it drips.
        request: Slot<Duration> = "2m" in "10ms" to "1h";
        /// A connection without a request. Longer than the callers' export interval, or they connect anew
        /// for every export.
        idle: Slot<Duration> = "10m" in "10ms" to "24h";
    }
}

group! {
    /// TLS on the TCP listeners.
    ServerTls {
        /// Our certificate and the chain to its issuer (PEM); needs `key_file`. Files that change are read
        /// again within seconds; open connections stay, and the last good ones serve while new ones can not
        /// be used.
        cert_file: Slot<Option<PathBuf>> = "";
        /// The key of `cert_file` (PEM).
        key_file: Slot<Option<PathBuf>> = "";
        /// Callers must show a certificate issued by one of these (PEM): mutual TLS.
        client_ca_file: Slot<Option<PathBuf>> = "";
    }
}

group! {
    /// Who may send.
    Auth {
        /// Tokens, any of which lets a caller in. Write them as `${env:NAME}`, not into the file.
        bearer: Texts;
        /// A file of tokens, one a line; `#` begins a remark. Read again when it changes.
        bearer_file: Slot<Option<PathBuf>> = "";
        /// Users and their passwords.
        basic: Pairs;
        /// A file of `user:password` lines. Read again when it changes.
        basic_file: Slot<Option<PathBuf>> = "";
    }
}

group! {
    /// One place data goes to.
    Upstream {
        /// `http://host:4317`, `https://host/base`. Without a scheme it is `http://`; without a scheme and
        /// a port, the protocol's own port. For HTTP, `/v1/traces` and the like are appended. An address
        /// of our own is refused: data would go round for ever. Empty: there is no such upstream.
        endpoint: Slot<Option<String>> = "";
        /// In place of an endpoint, several gateways behind one name, like
        /// `dns:spandrel-gateway.observability:4317`: each trace goes to the one that owns it, whichever sidecar
        /// its spans come from. The name is asked for every five seconds. With `tls` files given, TLS.
        gateway: Slot<Option<String>> = "";
        /// What it is given. What none of the upstreams takes is refused to callers, who are told so
        /// (UNIMPLEMENTED, 404).
        signals: Slot<Signals> = "traces,metrics,logs,profiles";
        /// It is given what no `route` of the `rules` sends anywhere, as `default_pipelines` of the Collector's
        /// routing connector are. `false`: only what is routed to it.
        default: Slot<bool> = "true";
        /// The endpoint is one signal's own address, used as it stands: nothing is appended. Over HTTP only,
        /// and with one of the `signals`.
        exact: Slot<bool> = "false";
        /// Not given: `http/protobuf` when the endpoint's port is 4318, it has a path or is `exact`, else
        /// `grpc`.
        protocol: Slot<Option<Protocol>> = "";
        /// Sent with every call. They win over the callers' own headers of the same name, which travel with
        /// their data otherwise. Write credentials as `${env:NAME}`, not into the file.
        headers: Pairs;
        /// How requests are compressed.
        compression: Slot<Compression> = "gzip";
        /// For endpoints that begin with `https://`.
        tls: Tls;
        /// For one attempt.
        timeout: Slot<Duration> = "10s" in "10ms" to "10m";
        /// When to try again, and when to give up.
        retry: Retry;
        /// Calls in flight at once. Raise it for an upstream far away; order is not kept above 1.
        parallel: Slot<usize> = "4" in "1" to "256";
        /// Largest request sent, before compression; 4 MiB is what gRPC servers take by default, and below the
        /// 5 MB of Langfuse Cloud. An upstream that takes less is sent less, once it has said so.
        max_request: Slot<Size> = "4MiB" in "1KiB" to "1GiB";
    }
}

group! {
    /// TLS towards an upstream.
    Tls {
        /// Certificates to trust instead of the system's (PEM).
        ca_file: Slot<Option<PathBuf>> = "";
        /// Our own certificate, for mutual TLS (PEM); needs `key_file`.
        cert_file: Slot<Option<PathBuf>> = "";
        /// The key of `cert_file` (PEM).
        key_file: Slot<Option<PathBuf>> = "";
        /// Trust whoever answers. For trying things out: anyone between can read and change the data.
        insecure_skip_verify: Slot<bool> = "false";
    }
}

group! {
    /// When to try again, and when to give up.
    Retry {
        /// The first pause. Pauses double, with jitter; a pause the server asks for is kept instead.
        initial: Slot<Duration> = "1s" in "1ms" to "10m";
        /// The longest pause.
        max: Slot<Duration> = "30s" in "1ms" to "1h";
        /// A batch not accepted for this long is counted as lost (`gave_up`).
        give_up: Slot<Duration> = "5m" in "0s" to "24h";
    }
}

group! {
    /// How spans of one trace are held until it is whole.
    Join {
        /// `trace` waits for the trace's own root. `local`, for a sidecar in front of a gateway, lets each
        /// process's part leave as soon as it is whole. `off` passes spans through as they come.
        scope: Slot<Scope> = "trace";
        /// A whole trace leaves after this much silence. Never more than `idle`.
        quiet: Slot<Duration> = "50ms" in "0s" to "1m";
        /// A trace that is not whole leaves after this much silence: a little more than the SDKs' export
        /// interval, which is 5 s by default. Never more than `hold`.
        idle: Slot<Duration> = "6s" in "1ms" to "1h";
        /// No trace is held for longer; a longer one leaves in parts, labelled alike.
        hold: Slot<Duration> = "30s" in "1ms" to "1h";
        /// Log records that are GenAI events (`gen_ai.*`) and name their span join it, as events of the span:
        /// prompts and answers are then seen by backends that take no logs. They go on as logs too, to
        /// upstreams that take those; where none does, other log records are refused. A trace whose spans had
        /// such records before waits for them up to `idle`, which must be more than the log exporter's interval.
        /// `auto`: on with a vendor's dialect, whose server takes no logs, and otherwise off: a plain OTLP backend
        /// finds them among its logs.
        logs: Slot<Notes> = "auto";
    }
}

group! {
    /// Tokens and cost of calls to models. Worked out of whole traces: nothing is written where `join.scope` is
    /// not `trace`.
    Usage {
        /// Mend, on the spans that are sent on, what a server would count twice: an agent's sum of the calls
        /// below it, reasoning or cached tokens on top of the whole they are part of. What is taken out of the
        /// count is kept under `spandrel.counted_elsewhere.*`. Roll-ups leave it out either way.
        repair: Slot<bool> = "false";
        /// A file of prices in the shape in which Langfuse publishes its own (JSON). A span whose model has a
        /// price, and that gives no cost, is given one: `gen_ai.usage.cost`, and with a vendor's dialect
        /// `langfuse.observation.cost_details`. A model without a price is given none.
        prices: Slot<Option<PathBuf>> = "";
    }
}

group! {
    /// What of the telemetry becomes scores at a vendor's.
    Scores {
        /// Post evaluations as scores: events `gen_ai.evaluation.result`, which come as events of a span or as log
        /// records (see `join.logs`) before their span or long after it. One with a number is a NUMERIC score, one
        /// with a label alone a CATEGORICAL one. They go on as telemetry all the same. A score has the same id
        /// however often it is sent; it is tried again as batches are (`retry` of the vendor's upstream), and up to
        /// 4096 of them wait, in no more than 4 MiB or a sixteenth of `memory`. Needs a vendor's dialect. Leave it
        /// off where the evaluator also posts its scores itself: they would be there twice.
        evaluations: Slot<bool> = "false";
    }
}

group! {
    /// When a batch is closed and sent.
    Batch {
        /// A batch this large is sent at once. A trace or a block that is larger goes in consecutive
        /// requests. Never more than an upstream's `max_request`.
        bytes: Slot<Size> = "1MiB" in "1KiB" to "256MiB";
        /// No batch waits for longer.
        age: Slot<Duration> = "200ms" in "0s" to "1m";
    }
}

group! {
    /// Where people look at traces, for `spandrel url` and `/url`.
    Ui {
        /// Base URL of the UI, like `https://cloud.example.com`. Not given, the server that a vendor's dialect
        /// sends to; with `otel`, the first of `INTERACTIVEAI_BASE_URL`, `INTERACTIVEAI_HOST`,
        /// `LANGFUSE_BASE_URL`, `LANGFUSE_HOST` that is set.
        url: Slot<Option<String>> = "";
        /// The project's id, which is part of each link: the `id` that `GET {url}/api/public/projects` shows
        /// with the project's keys. Not given, the first of `INTERACTIVEAI_PROJECT_ID`,
        /// `LANGFUSE_PROJECT_ID` that is set.
        project: Slot<Option<String>> = "";
    }
}

group! {
    /// What traces add up to.
    Rollups {
        /// Duration, failed spans, tokens and cost of joined traces as metrics (`spandrel_trace_*`), by
        /// service, environment and model. Read aside from the lanes; each trace is copied once more for it.
        metrics: Slot<bool> = "false";
        /// What a trace adds up to is written on its root as attributes: `spandrel.trace.spans`, `.services`,
        /// `.errors`, `.duration_ms`, `.tokens.input`, `.tokens.output`, `.cost`. Read on the lanes: it costs
        /// them a second reading of every span.
        on_root: Slot<bool> = "false";
    }
}

group! {
    /// What Spandrel says about itself.
    Log {
        /// The least that is worth saying.
        level: Slot<Level> = "info";
        /// `auto`: text on a terminal, otherwise one JSON object a line.
        format: Slot<Format> = "auto";
    }
}
