//! The commands: the command line of `spandrel`, read and sent on its way.
//!
//! Exit codes: 0, all is well; 1, it could not be done; 2, the command line or the configuration is
//! wrong. Each command's work is in the file of its name.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{self, Ask, Loaded, Plan, Surroundings};
use crate::telemetry::logs;

mod channel;
mod check;
mod demo;
mod docs;
mod health;
mod id;
mod inject;
mod print_config;
mod run;
mod tail;
mod trial;

/// It could not be done: a port taken, an instance out of reach.
pub const FAILED: u8 = 1;
/// The command line or the configuration is wrong. What clap exits with, too.
pub const WRONG: u8 = 2;

/// Joins, labels, batches and forwards OpenTelemetry data.
#[derive(Debug, Parser)]
#[command(name = "spandrel", version, disable_help_subcommand = true)]
struct Line {
    /// The configuration file; else $SPANDREL_CONFIG, else /etc/spandrel/spandrel.yaml if it is there
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Give a setting a value, as in `--set join.scope=local`; wins over variables and the file
    #[arg(long, global = true, value_name = "PATH=VALUE")]
    set: Vec<String>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Receive, join, label and forward until told to stop (the default)
    Run {
        /// Leave out a configuration file that can not be used, and say so, instead of ending: a sidecar must
        /// not keep its app from starting
        #[arg(long)]
        regardless: bool,
    },
    /// Start, and play a trace over three services through the real sockets
    Demo {
        #[command(flatten)]
        options: demo::Options,
    },
    /// Say everything that is wrong with the configuration, and run nothing
    Check,
    /// Show the configuration in force and where each value came from; secrets are masked
    PrintConfig,
    /// Follow the joined traces of a running instance
    Tail {
        /// Its admin address; else the `admin` of the configuration
        #[arg(value_name = "ADDRESS")]
        address: Option<String>,

        #[command(flatten)]
        options: tail::Options,
    },
    /// Run rules over a captured export and show what they change; nothing is sent
    Try {
        #[command(flatten)]
        options: trial::Options,
    },
    /// Ask a running instance whether it takes requests; ends with 1 when it does not
    Health {
        /// Its `probes` or `admin` address; else that of the configuration
        #[arg(value_name = "ADDRESS")]
        address: Option<String>,
    },
    /// Tell a running instance that the end is near: it hands on at once what it holds and what still comes
    Flush {
        /// Its `admin` address; else that of the configuration
        #[arg(value_name = "ADDRESS")]
        address: Option<String>,
    },
    /// Put the sidecar into the pods of a Kubernetes manifest, or take it out again
    Inject {
        #[command(flatten)]
        options: inject::Options,
    },
    /// Print the id that the InteractiveAI and Langfuse SDKs make of a seed
    Id {
        #[command(flatten)]
        options: id::Options,
    },
    /// Print where the UI shows a trace
    Url {
        /// 32 characters of lower-case hex
        #[arg(value_name = "TRACE_ID")]
        trace: String,
    },
    /// Print a generated page of the documentation
    #[command(hide = true)]
    Docs {
        #[arg(value_enum)]
        page: docs::Page,
    },
}

const NO_ADMIN: &str = "`admin` is off in the configuration; name the instance's admin address";

/// Does what the command line says. `settled` is called once it has run for a moment, and
/// what the start alone needed may go.
pub fn main(settled: fn()) -> ExitCode {
    let line = Line::parse();
    let ask = Ask { file: line.config, set: line.set };
    match line.command.unwrap_or(Command::Run { regardless: false }) {
        Command::Run { regardless } => {
            let loaded = if regardless { config::load_regardless(&ask) } else { config::load(&ask) };
            or_say(loaded, |loaded| {
                let (plan, standing) = loaded.standing(ask.clone(), Surroundings::of_process());
                run::run(begun(plan), standing, settled)
            })
        }
        Command::Demo { options } => with(&ask, |loaded| demo::run(begun(loaded.plan), options)),
        Command::Check => check::run(&ask),
        Command::PrintConfig => with(&ask, print_config::run),
        Command::Tail { address: Some(address), options } => tail::run(&address, &options),
        Command::Tail { address: None, options } => with(&ask, |loaded| match loaded.plan.admin {
            Some(admin) => tail::run(&admin.to_string(), &options),
            None => fail(NO_ADMIN),
        }),
        Command::Try { options } => trial::run(&options),
        Command::Health { address: Some(address) } => health::run(&address),
        Command::Health { address: None } => with(&ask, |loaded| health::of_configuration(&loaded)),
        Command::Flush { address: Some(address) } => health::flush(&address),
        Command::Flush { address: None } => with(&ask, |loaded| match loaded.plan.admin {
            Some(admin) => health::flush(&admin.to_string()),
            None => fail(NO_ADMIN),
        }),
        Command::Inject { options } => inject::run(&options),
        Command::Id { options } => id::run(&options),
        Command::Url { trace } => with(&ask, |loaded| id::url(&trace, &loaded)),
        Command::Docs { page } => docs::run(page),
    }
}

/// Goes on with the configuration, or says what is wrong with it.
fn with(ask: &Ask, next: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    or_say(config::load(ask), next)
}

fn or_say(loaded: Result<Loaded, config::Mistakes>, next: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    match loaded {
        Ok(loaded) => next(loaded),
        Err(mistakes) => {
            eprintln!("{mistakes}");
            ExitCode::from(WRONG)
        }
    }
}

/// The plan, once there is a log and it holds what may surprise about the plan.
fn begun(plan: Plan) -> Plan {
    logs::start(plan.log);
    for note in &plan.notes {
        tracing::warn!("{note}");
    }
    if let Some(wrong) = &plan.refused {
        tracing::error!("the configuration can not be used and is left out: {wrong}");
    }
    plan
}

/// Says why it could not be done.
fn fail(why: impl std::fmt::Display) -> ExitCode {
    eprintln!("spandrel: {why}");
    ExitCode::from(FAILED)
}

/// Prints to standard output. A reader that has gone (`| head`) has read enough: that is no failure.
fn print(text: &str) -> ExitCode {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => fail(format!("can't print: {cause}")),
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Line::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_and_flags_stand_on_either_side() {
        let line = Line::try_parse_from(["spandrel", "--set", "lanes=2"]).unwrap();
        assert!(line.command.is_none());
        let line =
            Line::try_parse_from(["spandrel", "--set", "lanes=2", "run", "--config", "x.yaml"]).unwrap();
        assert!(matches!(line.command, Some(Command::Run { regardless: false })));
        assert_eq!(line.config, Some(PathBuf::from("x.yaml")));
        assert_eq!(line.set, ["lanes=2"]);
    }
}
