//! `spandrel tail`: follows the joined traces of a running instance, over its inspection API.
//!
//! Traces go to standard output, everything else to standard error. It waits for an instance that is
//! not there (yet, or any more) and never gives up by itself; Ctrl-C and a closed pipe end it well.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use http::Uri;
use thiserror::Error;
use tonic::Code;

use super::channel::Channel;
use crate::page::Form;
use crate::page::proto::inspection_client::InspectionClient;
use crate::page::proto::{WatchRequest, WatchResponse};

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// A trace's spans are at most some megabytes; its OTLP bytes are not asked for.
const MESSAGE_MAX: usize = 64 << 20;

/// Which traces, and how they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Options {
    /// One JSON object a line; the default when standard output is not a terminal
    #[arg(long)]
    json: bool,

    /// Also say where each fact about a trace came from, on how many spans it was written, and whose parent
    /// was mended (in JSON, `provenance` always says so)
    #[arg(long, conflicts_with = "json")]
    why: bool,

    /// Only traces with a span that failed
    #[arg(long)]
    errors: bool,

    /// Only traces this service has a span in
    #[arg(long, value_name = "NAME")]
    service: Option<String>,

    /// Only traces that took at least this many milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    min_ms: u64,
}

impl Options {
    fn request(&self) -> WatchRequest {
        WatchRequest {
            min_duration_ms: self.min_ms,
            errors: self.errors,
            service: self.service.clone().unwrap_or_default(),
            with_otlp: false,
        }
    }
}

/// Follows until told to stop.
pub fn run(address: &str, options: &Options) -> ExitCode {
    let instance = match instance(address) {
        Ok(instance) => instance,
        Err(why) => {
            eprintln!("spandrel: {why}");
            return ExitCode::from(super::WRONG);
        }
    };
    // One thread follows and may stand still at a full pipe; this one waits for Ctrl-C meanwhile.
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => return super::fail(format!("can't start: {cause}")),
    };
    let form = match options {
        Options { json: true, .. } => Form::Line,
        Options { why: true, .. } => Form::Why(Form::paint_for_stdout()),
        _ => Form::for_stdout(),
    };
    let follower = Follower { instance, request: options.request(), form, out: io::stdout() };
    let following = runtime.spawn(follower.follow(|what| eprintln!("spandrel: {what}")));
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = following => ended.unwrap_or_else(|cause| Err(End::Broken(cause.to_string()))),
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    });
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the pipe has read enough.
        Err(End::Output(cause)) if cause.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(end) => super::fail(end),
    }
}

/// `host:port`, or the same with `http://` before it.
fn instance(address: &str) -> Result<Uri, String> {
    let hint = "give the admin address of a running instance, like 127.0.0.1:8888";
    let uri = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let uri: Uri = uri.parse().map_err(|_| format!("`{address}` is not an address; {hint}"))?;
    if uri.scheme_str() != Some("http") || uri.port().is_none() {
        return Err(format!("`{address}` is not host:port; {hint}"));
    }
    Ok(uri)
}

/// Why following ended.
#[derive(Debug, Error)]
enum End {
    #[error("can't write: {0}")]
    Output(#[from] io::Error),
    /// The instance is there, and says no: asking again would not help.
    #[error("the instance says no: {0}")]
    Refused(String),
    #[error("following broke: {0}")]
    Broken(String),
}

/// What is followed, and where it is written.
struct Follower<W> {
    instance: Uri,
    request: WatchRequest,
    form: Form,
    out: W,
}

impl<W: Write> Follower<W> {
    /// Connects, again and again; says each change of fortune once.
    async fn follow(mut self, mut say: impl FnMut(&str)) -> Result<(), End> {
        let mut said = String::new();
        loop {
            let lost = self.follow_once(&mut say).await?;
            let message = format!("{}: {lost}; trying again every second", self.instance);
            if message != said {
                say(&message);
                said = message;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Follows one connection. Returns why it was lost.
    async fn follow_once(&mut self, say: &mut impl FnMut(&str)) -> Result<String, End> {
        let channel = match Channel::connect(&self.instance).await {
            Ok(channel) => channel,
            Err(cause) => return Ok(format!("can't reach it: {cause}")),
        };
        let client = InspectionClient::with_origin(channel, self.instance.clone());
        let mut client = client.max_decoding_message_size(MESSAGE_MAX);
        let mut stream = match client.watch(self.request.clone()).await {
            Ok(response) => response.into_inner(),
            Err(status) => return refusal(&status),
        };
        say(&format!("following {}", self.instance));
        loop {
            match stream.message().await {
                Ok(Some(response)) => self.write(response, say)?,
                Ok(None) => return Ok("it ended".to_owned()),
                Err(status) => return refusal(&status),
            }
        }
    }

    fn write(&mut self, response: WatchResponse, say: &mut impl FnMut(&str)) -> Result<(), End> {
        if response.missed > 0 {
            say(&format!("{} traces missed: they came faster than they could be shown", response.missed));
        }
        if let Some(trace) = response.trace {
            self.out.write_all(self.form.render(&trace.into_summary()).as_bytes())?;
            self.out.flush()?;
        }
        Ok(())
    }
}

/// What a refused call means: something else listens there, enough are watching, or it went away.
fn refusal(status: &tonic::Status) -> Result<String, End> {
    match status.code() {
        Code::ResourceExhausted | Code::InvalidArgument => Err(End::Refused(status.message().to_owned())),
        Code::Unimplemented => {
            Err(End::Refused("it has no inspection API; is this its admin address?".to_owned()))
        }
        _ => Ok(format!("it went away ({})", status.code().description())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::page::testing::{captured, sources, written};
    use crate::page::{Admin, Shows};
    use crate::watch::{self, Watchers};

    /// Standard output, as a channel of what is written.
    struct Out(mpsc::UnboundedSender<String>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.send(text).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Tail {
        out: mpsc::UnboundedReceiver<String>,
        said: mpsc::UnboundedReceiver<String>,
        ended: tokio::task::JoinHandle<Result<(), End>>,
    }

    fn tail(address: &str, options: &Options) -> Tail {
        let (out, taken) = mpsc::unbounded_channel();
        let (tell, said) = mpsc::unbounded_channel();
        let follower = Follower {
            instance: instance(address).unwrap(),
            request: options.request(),
            form: Form::Line,
            out: Out(out),
        };
        let ended = tokio::spawn(follower.follow(move |what| {
            let _ = tell.send(what.to_owned());
        }));
        Tail { out: taken, said, ended }
    }

    async fn admin(listen: &str, watchers: &Arc<Watchers>) -> (String, CancellationToken) {
        let admin = Admin::bind(listen.parse().unwrap(), Shows::All).await.unwrap();
        let (address, stop) = (admin.address().to_string(), CancellationToken::new());
        tokio::spawn(admin.serve(sources(watchers), stop.clone()));
        (address, stop)
    }

    fn watchers() -> Arc<Watchers> {
        Watchers::new(Arc::new(crate::telemetry::Meters::new()), 0)
    }

    #[tokio::test]
    async fn traces_come_as_they_leave_and_a_closed_pipe_is_an_end() {
        let watchers = watchers();
        let (address, _stop) = admin("127.0.0.1:0", &watchers).await;
        let mut tail = tail(&address, &Options::default());
        assert_eq!(tail.said.recv().await.unwrap(), format!("following http://{address}/"));
        watchers.offer(captured());
        let line: serde_json::Value = serde_json::from_str(&tail.out.recv().await.unwrap()).unwrap();
        assert_eq!(line["trace_id"], "e74af16a04dc117a5df19dbb56d10845");
        assert_eq!(line["spans"].as_array().unwrap().len(), 6);

        drop(tail.out);
        watchers.offer(captured());
        let Err(End::Output(cause)) = tail.ended.await.unwrap() else { panic!("goes on into nothing") };
        assert_eq!(cause.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn only_what_is_asked_for_comes() {
        let watchers = watchers();
        let (address, _stop) = admin("127.0.0.1:0", &watchers).await;
        let service = Options { service: Some("orders-db".to_owned()), min_ms: 100, ..Options::default() };
        let mut tail = tail(&address, &service);
        tail.said.recv().await.unwrap();
        watchers.offer(written(&[(1, 0, "of another service", 0, 500)]));
        watchers.offer(captured());
        let line = tail.out.recv().await.unwrap();
        assert!(line.contains("handle_request"), "{line}");
    }

    #[tokio::test]
    async fn it_waits_for_the_instance_and_says_so_once() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut tail = tail(&address, &Options::default());
        let said = tail.said.recv().await.unwrap();
        assert!(said.contains("can't reach it: Connection refused"), "{said}");

        let watchers = watchers();
        let (_, stop) = admin(&address, &watchers).await;
        assert_eq!(tail.said.recv().await.unwrap(), format!("following http://{address}/"));
        stop.cancel();
        let said = tail.said.recv().await.unwrap();
        assert!(said.contains("trying again every second"), "{said}");
        tail.ended.abort();
    }

    #[tokio::test]
    async fn too_many_watching_is_said_and_final() {
        let watchers = watchers();
        let (address, _stop) = admin("127.0.0.1:0", &watchers).await;
        let look = || watchers.look(watch::Kind::Watch).unwrap();
        let _all: Vec<_> = (0..watch::LOOKERS_MAX).map(|_| look()).collect();
        let ended = tail(&address, &Options::default()).ended.await.unwrap();
        assert!(matches!(ended, Err(End::Refused(why)) if why.contains("watching already")));
    }

    #[test]
    fn an_address_is_host_and_port() {
        assert!(instance("127.0.0.1:8888").is_ok());
        assert!(instance("http://spandrel.shop:8888").is_ok());
        for wrong in ["", "8888", "localhost", "https://localhost:8888", "a b:1"] {
            let message = instance(wrong).unwrap_err();
            assert!(message.contains("like 127.0.0.1:8888"), "{message}");
        }
    }
}
