//! The four OTLP signals and the little in which they differ.

/// One kind of telemetry. The numbers index per-signal arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Signal {
    Traces = 0,
    Metrics = 1,
    Logs = 2,
    Profiles = 3,
}

/// Some of the signals, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Signals([bool; 4]);

impl Signals {
    pub const ALL: Signals = Signals([true; 4]);

    pub const fn has(self, signal: Signal) -> bool {
        self.0[signal as usize]
    }

    /// In the order of [`Signal::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Signal> {
        Signal::ALL.into_iter().filter(move |signal| self.has(*signal))
    }

    /// Those that are not in here.
    #[must_use]
    pub fn others(self) -> Self {
        Self(self.0.map(|has| !has))
    }

    /// `traces,logs`.
    pub fn names(self, between: &str) -> String {
        self.iter().map(Signal::name).collect::<Vec<_>>().join(between)
    }
}

impl FromIterator<Signal> for Signals {
    fn from_iter<I: IntoIterator<Item = Signal>>(signals: I) -> Self {
        signals.into_iter().fold(Self([false; 4]), |mut all, signal| {
            all.0[signal as usize] = true;
            all
        })
    }
}

impl Signal {
    pub const ALL: [Signal; 4] = [Signal::Traces, Signal::Metrics, Signal::Logs, Signal::Profiles];

    /// The `signal` label of our metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
            Signal::Profiles => "profiles",
        }
    }

    /// The default OTLP/HTTP path (OTLP specification, "OTLP/HTTP Request").
    pub const fn http_path(self) -> &'static str {
        match self {
            Signal::Traces => "/v1/traces",
            Signal::Metrics => "/v1/metrics",
            Signal::Logs => "/v1/logs",
            Signal::Profiles => "/v1development/profiles",
        }
    }

    /// The full gRPC method path.
    pub const fn grpc_path(self) -> &'static str {
        match self {
            Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            Signal::Profiles => {
                "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"
            }
        }
    }
}
