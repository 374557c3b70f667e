//! How the values of leaves are written: sizes, durations, addresses, choices.
//!
//! A [`Word`] reads what a user wrote and shows it again in the same words, so that what
//! `print-config` prints is itself a configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::mistake::{did_you_mean, quoted};
use crate::receive::Listen;
use crate::semantics::Dialect;
use crate::semantics::claims::Has;
use crate::wire::{Signal, Signals};

/// The value of a leaf.
pub trait Word: Clone + PartialEq + PartialOrd + std::fmt::Debug {
    /// What is wanted, for messages and the reference: `a size`.
    const WANTS: &'static str;

    /// Reads what was written.
    ///
    /// # Errors
    /// Says what is wrong with it and what to write instead: `is not a size; write it like …`.
    fn read(text: &str) -> Result<Self, String>;

    /// As a user would write it; `None` when it is not set.
    fn show(&self) -> Option<String>;

    /// Whether a list in the file is as good as commas.
    const IS_LIST: bool = false;

    /// Whether leaving it empty means something.
    const MAY_BE_EMPTY: bool = false;
}

impl<W: Word> Word for Option<W> {
    const WANTS: &'static str = W::WANTS;
    const IS_LIST: bool = W::IS_LIST;
    const MAY_BE_EMPTY: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(None) } else { W::read(text).map(Some) }
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(W::show)
    }
}

impl Word for String {
    const WANTS: &'static str = "text";

    fn read(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl Word for PathBuf {
    const WANTS: &'static str = "a path";

    fn read(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }

    fn show(&self) -> Option<String> {
        Some(self.display().to_string())
    }
}

impl Word for Signals {
    const WANTS: &'static str = "a list of signals";
    const IS_LIST: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        let of_name = |name: &str| {
            let known = Signal::ALL.into_iter().find(|signal| signal.name() == name);
            known.ok_or_else(|| {
                let hint = did_you_mean(name, Signal::ALL.map(Signal::name));
                format!("is not a list of `traces`, `metrics`, `logs` and `profiles`{hint}")
            })
        };
        text.split(',').map(|name| of_name(name.trim())).collect()
    }

    fn show(&self) -> Option<String> {
        Some(self.names(","))
    }
}

impl Word for Dialect {
    const WANTS: &'static str = "`otel`, `langfuse` or `interactiveai`";

    fn read(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == text).ok_or_else(|| {
            let hint = did_you_mean(text, Self::ALL.map(Self::name));
            format!("is not one of {}{hint}", Self::WANTS)
        })
    }

    fn show(&self) -> Option<String> {
        Some(self.name().to_owned())
    }
}

/// What a trace says of itself, and is written on its spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Properties(pub Has);

impl Properties {
    const NAMES: [(&'static str, Has); 6] = [
        ("name", Has::NAME),
        ("user", Has::USER),
        ("session", Has::SESSION),
        ("version", Has::VERSION),
        ("tags", Has::TAGS),
        ("metadata", Has::METADATA),
    ];
    const NONE: &'static str = "none";
}

impl Word for Properties {
    const WANTS: &'static str = "a list of properties, or `none`";
    const IS_LIST: bool = true;

    fn read(text: &str) -> Result<Self, String> {
        if text == Self::NONE {
            return Ok(Self(Has::NONE));
        }
        let of_name = |name: &str| {
            let known = Self::NAMES.into_iter().find(|(known, _)| *known == name);
            known.map(|(_, property)| property).ok_or_else(|| {
                let names = Self::NAMES.map(|(name, _)| name);
                let hint = did_you_mean(name, names);
                format!("is not `none` or a list of `{}`{hint}", names.join("`, `"))
            })
        };
        let all: Vec<Has> = text.split(',').map(|name| of_name(name.trim())).collect::<Result<_, _>>()?;
        Ok(Self(all.into_iter().fold(Has::NONE, Has::with)))
    }

    fn show(&self) -> Option<String> {
        let names: Vec<&str> = Self::NAMES
            .into_iter()
            .filter(|(_, property)| self.0.has(*property))
            .map(|(name, _)| name)
            .collect();
        Some(if names.is_empty() { Self::NONE.to_owned() } else { names.join(",") })
    }
}

impl Word for bool {
    const WANTS: &'static str = "`true` or `false`";

    fn read(text: &str) -> Result<Self, String> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("is neither `true` nor `false`".to_owned()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A count of things.
impl Word for usize {
    const WANTS: &'static str = "a whole number";

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "is not a whole number".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

/// Largest first, so that showing finds the roundest; the longest spelling of each comes first.
const SIZES: [(&str, usize); 9] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
];

impl Word for Size {
    const WANTS: &'static str = "a size";

    fn read(text: &str) -> Result<Self, String> {
        let (digits, unit) = split_number(text);
        let scale = match unit {
            "" | "B" => Some(1),
            _ => SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, scale)| *scale),
        };
        let (Ok(number), Some(scale)) = (digits.parse::<usize>(), scale) else {
            return Err("is not a size; write it like `64MiB`, `1MB` or `4096`".to_owned());
        };
        number.checked_mul(scale).map(Size).ok_or_else(|| "is larger than any memory".to_owned())
    }

    fn show(&self) -> Option<String> {
        let round = SIZES[..6].iter().find(|(_, scale)| self.0 != 0 && self.0.is_multiple_of(*scale));
        Some(match round {
            Some((unit, scale)) => format!("{}{unit}", self.0 / scale),
            None => self.0.to_string(),
        })
    }
}

/// The mode of a file: who may read, write and, of a socket, connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct Mode(pub u32);

impl Word for Mode {
    const WANTS: &'static str = "a file mode";

    fn read(text: &str) -> Result<Self, String> {
        let octal = !text.is_empty() && text.len() <= 5 && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let mode = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten().filter(|mode| *mode <= 0o777);
        mode.map(Mode).ok_or_else(|| "is not a file mode; write it in octal, like `0660`".to_owned())
    }

    fn show(&self) -> Option<String> {
        Some(format!("{:04o}", self.0))
    }
}

const DURATIONS: [(&str, u64); 5] =
    [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];

impl Word for Duration {
    const WANTS: &'static str = "a duration";

    fn read(text: &str) -> Result<Self, String> {
        let (digits, unit) = split_number(text);
        let Ok(number) = digits.parse::<u64>() else {
            return Err("is not a duration; write it like `50ms`, `6s` or `5m`".to_owned());
        };
        if unit.is_empty() {
            return Err(format!("lacks a unit; did you mean `{number}s` or `{number}ms`?"));
        }
        let Some((_, scale)) = DURATIONS.iter().find(|(name, _)| *name == unit) else {
            return Err("is not a duration; write it like `50ms`, `6s` or `5m`".to_owned());
        };
        number
            .checked_mul(*scale)
            .map(Duration::from_nanos)
            .ok_or_else(|| "is longer than 500 years".to_owned())
    }

    fn show(&self) -> Option<String> {
        let nanos = self.as_nanos();
        let round = DURATIONS.iter().find(|(_, scale)| nanos.is_multiple_of(u128::from(*scale)));
        Some(match round {
            Some(_) if nanos == 0 => "0s".to_owned(),
            Some((unit, scale)) => format!("{}{unit}", nanos / u128::from(*scale)),
            None => format!("{}us", self.as_micros()),
        })
    }
}

/// Digits, then the rest without the blanks between.
fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    (digits, rest.trim_start())
}

/// Where to listen, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAt {
    At(Listen),
    Off,
}

impl PartialOrd for ListenAt {
    /// Addresses have no order: no leaf of this kind has bounds.
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        (self == other).then_some(std::cmp::Ordering::Equal)
    }
}

impl Word for ListenAt {
    const WANTS: &'static str = "`address:port`, `unix:/path` or `off`";

    fn read(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(ListenAt::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.strip_prefix("//").unwrap_or(path) {
                path if path.starts_with('/') => Ok(ListenAt::At(Listen::Unix(path.into()))),
                _ => {
                    Err("is not an absolute socket path; write it like `unix:/run/spandrel.sock`".to_owned())
                }
            };
        }
        read_address(text).map(Listen::Tcp).map(ListenAt::At)
    }

    fn show(&self) -> Option<String> {
        Some(match self {
            ListenAt::At(Listen::Tcp(address)) => address.to_string(),
            ListenAt::At(Listen::Unix(path)) => format!("unix:{}", path.display()),
            ListenAt::Off => "off".to_owned(),
        })
    }
}

/// A TCP address, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
pub struct AddressOrOff(pub Option<SocketAddr>);

impl Word for AddressOrOff {
    const WANTS: &'static str = "`address:port` or `off`";

    fn read(text: &str) -> Result<Self, String> {
        if text == "off" { Ok(Self(None)) } else { read_address(text).map(|address| Self(Some(address))) }
    }

    fn show(&self) -> Option<String> {
        Some(self.0.map_or_else(|| "off".to_owned(), |address| address.to_string()))
    }
}

/// Numbers and `localhost` only: what we listen on must not depend on a name server.
fn read_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(match text.parse::<u16>() {
            Ok(port) => {
                format!("lacks an address; write `127.0.0.1:{port}`, or `0.0.0.0:{port}` for every interface")
            }
            Err(_) => "lacks a port; write it like `127.0.0.1:4317`".to_owned(),
        });
    };
    let Ok(port) = port.parse::<u16>() else {
        return Err(format!("has no port from 0 to 65535 after {}", quoted(&format!("{host}:"))));
    };
    match host {
        "localhost" => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        "" | "*" => Err(format!("lacks an address; write `0.0.0.0:{port}` for every interface")),
        _ => Err(format!(
            "is a name, not an address; write `127.0.0.1:{port}`, or `0.0.0.0:{port}` for every interface"
        )),
    }
}

/// A leaf that takes one of a few words.
macro_rules! choice {
    ($(#[$meta:meta])* $name:ident, $wants:literal, { $($variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
        pub enum $name { $($variant),* }

        impl Word for $name {
            const WANTS: &'static str = $wants;

            fn read(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($name::$variant),)*
                    _ => Err(format!(
                        "is not one of {}{}", $wants, did_you_mean(text, [$($word),*])
                    )),
                }
            }

            fn show(&self) -> Option<String> {
                Some(match self { $($name::$variant => $word),* }.to_owned())
            }
        }
    };
}

choice!(Protocol, "`grpc`, `http/protobuf` or `http/json`", {
    Grpc = "grpc",
    HttpProtobuf = "http/protobuf",
    HttpJson = "http/json",
});
choice!(Compression, "`none`, `gzip` or `zstd`", { None = "none", Gzip = "gzip", Zstd = "zstd" });
choice!(Scope, "`trace`, `local` or `off`", { Trace = "trace", Local = "local", Off = "off" });
choice!(
    /// Whether log records join their spans.
    Notes, "`auto`, `on` or `off`", { Auto = "auto", On = "on", Off = "off" });
choice!(
    /// How much is logged.
    Level, "`error`, `warn`, `info`, `debug` or `trace`", {
    Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace",
});
choice!(
    /// How logs and traces are written.
    Format, "`auto`, `text` or `json`", { Auto = "auto", Text = "text", Json = "json" });
