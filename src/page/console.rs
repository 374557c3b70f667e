//! Prints joined traces on a thread of its own: a terminal that stands still holds up nobody else.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::line::Line;
use super::tree::{self, Paint};
use super::{Summary, why};
use crate::telemetry::logs::no_colour_unset;
use crate::watch::{Kind, Looking, TooMany, Watchers};

/// How a trace is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Tree(Paint),
    /// Trees, and why their spans say what they say.
    Why(Paint),
    /// One JSON object a line.
    Line,
}

impl Form {
    /// Trees on a terminal, lines otherwise.
    pub fn for_stdout() -> Self {
        if std::io::stdout().is_terminal() { Self::Tree(Self::paint_for_stdout()) } else { Self::Line }
    }

    /// Colour on a terminal, unless `NO_COLOR` says no.
    pub fn paint_for_stdout() -> Paint {
        if std::io::stdout().is_terminal() && no_colour_unset() { Paint::COLOUR } else { Paint::PLAIN }
    }

    pub fn render(self, summary: &Summary) -> String {
        match self {
            Form::Tree(paint) => tree::render(summary, paint) + "\n",
            Form::Why(paint) => tree::render(summary, paint) + &why::render(summary) + "\n",
            Form::Line => Line::of(summary).render(),
        }
    }
}

/// The printing thread.
#[derive(Debug)]
pub struct Console {
    done: oneshot::Receiver<()>,
}

impl Console {
    /// Begins to print what leaves the join from now on. When `out` is closed (a broken pipe) it
    /// stops looking, and the process goes on.
    ///
    /// # Errors
    /// [`TooMany`] as any looker.
    pub fn start(
        watchers: &Arc<Watchers>,
        mut out: impl Write + Send + 'static,
        form: Form,
    ) -> Result<Self, TooMany> {
        let looking = watchers.look(Kind::Console)?;
        let (tell, done) = oneshot::channel();
        let work = move || {
            if let Err(cause) = print_all(looking, &mut out, form) {
                tracing::warn!(%cause, "joined traces are no longer printed: standard output is closed");
            }
            let _ = tell.send(());
        };
        if let Err(cause) = std::thread::Builder::new().name("console".to_owned()).spawn(work) {
            tracing::warn!(%cause, "joined traces are not printed: no thread to be had");
        }
        Ok(Self { done })
    }

    /// Waits until everything is printed. Call [`Watchers::close`] before. False when it took longer
    /// than `within`: standard output stands still.
    pub async fn finish(self, within: Duration) -> bool {
        tokio::time::timeout(within, self.done).await.is_ok()
    }
}

fn print_all(mut looking: Looking, out: &mut impl Write, form: Form) -> std::io::Result<()> {
    while let Some(trace) = looking.next_blocking() {
        out.write_all(form.render(&Summary::read(&trace)).as_bytes())?;
        let missed = looking.missed();
        if let (1.., Form::Tree(_) | Form::Why(_)) = (missed, form) {
            writeln!(out, "… {missed} traces not shown: they came faster than they could be printed\n")?;
        }
        out.flush()?;
    }
    Ok(())
}
