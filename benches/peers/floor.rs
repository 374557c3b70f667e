//! The floor: hyper at both ends and as little as possible in between, to see what of a program's cost is moving the
//! bytes, and what the work on them that nobody can do without.
//!
//! Every call is answered OK, and what came is sent on a mebibyte at a time, as one call; on one thread, with the
//! allocator of the program. Unread; or checked; or joined and labelled, by a lane put together of the program's parts.
//! Nothing is bounded, timed, counted or tried again, so nobody could run it: it is no peer and no mark is about it.
//! The surprise: it is this bench, started again with another word.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::ready;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1 as client1, http2 as client2};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, TE};
use hyper::rt::Executor;
use hyper::server::conn::{http1 as server1, http2 as server2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use spandrel::join::Settings;
use spandrel::model::Clock;
use spandrel::queue::Budget;
use spandrel::wire::{Detail, Limits, Rope, Sealed, Signal, walk};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

use crate::caller::Transport;
use crate::common::lane::Lane;
use crate::program::{Program, free_port};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The word that makes the bench this program; the path of a file follows that says what it does, and two addresses.
pub const WORD: &str = "floor";
/// A call is sent on once it has so many bytes.
const BATCH: usize = 1_000_000;
/// What is left is sent on when nothing more has come for so long.
const REST: Duration = Duration::from_secs(1);
/// A lane looks so often at what is due.
const TICK: Duration = Duration::from_millis(30);
/// Flag and length before a message.
const PREFIX: usize = 5;
/// A call of HTTP/1.1 comes in one piece if it has no more bytes, as it does with the program.
const BUFFER: usize = 256 << 10;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// What is done with a call before it is sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    Nothing,
    Checked,
    /// Checked, joined and labelled.
    Joined,
}

impl Between {
    const ALL: [Self; 3] = [Self::Nothing, Self::Checked, Self::Joined];

    fn word(self) -> &'static str {
        match self {
            Between::Nothing => "nothing",
            Between::Checked => "checked",
            Between::Joined => "joined",
        }
    }
}

/// Started, perhaps not listening yet.
pub fn spawn(between: Between, transport: Transport, sink: SocketAddr) -> Program {
    let address = free_port();
    let said = format!("{} {} {address} {sink}", between.word(), word(transport));
    Program::start(address, "floor", &said, |file| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(WORD).arg(file);
        command
    })
}

fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Grpc => "grpc",
        Transport::Http => "http",
    }
}

/// Is that program, until it is killed.
pub fn run(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let mut words = text.split(' ');
    let [what, how] = [(); 2].map(|()| words.next().unwrap());
    let between = Between::ALL.into_iter().find(|between| between.word() == what).unwrap();
    let transport = [Transport::Grpc, Transport::Http].into_iter().find(|of| word(*of) == how).unwrap();
    let [from, to] = [(); 2].map(|()| words.next().unwrap().parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, serve(between, transport, from, to));
}

async fn serve(between: Between, transport: Transport, from: SocketAddr, to: SocketAddr) {
    let listener = TcpListener::bind(from).await.unwrap();
    let onward = Rc::new(Onward::new(between, transport, to).await);
    spawn_local(onward.clone().send_rests());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let onward = onward.clone();
        let io = TokioIo::new(stream);
        spawn_local(async move {
            match transport {
                Transport::Grpc => {
                    let mut server = server2::Builder::new(Local);
                    server
                        .max_frame_size(1 << 20)
                        .initial_stream_window_size(1 << 20)
                        .initial_connection_window_size(2 << 20);
                    let service = service_fn(move |request| answer_grpc(onward.clone(), request));
                    let _ = server.serve_connection(io, service).await;
                }
                Transport::Http => {
                    let mut server = server1::Builder::new();
                    server.max_buf_size(BUFFER);
                    let service = service_fn(move |request| answer_http(onward.clone(), request));
                    let _ = server.serve_connection(io, service).await;
                }
            }
        });
    }
}

async fn answer_http(
    onward: Rc<Onward>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    onward.take(request.into_body().collect().await.unwrap().to_bytes());
    let mut response = Response::default();
    response.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
    Ok(response)
}

async fn answer_grpc(
    onward: Rc<Onward>,
    request: Request<Incoming>,
) -> Result<Response<impl Body<Data = Bytes, Error = Infallible>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    onward.take(body.slice(PREFIX..));
    let status = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    let trailers = ready(Some(Ok(HeaderMap::from_iter([status]))));
    let mut response = Response::new(Full::new(Bytes::from_static(&[0; PREFIX])).with_trailers(trailers));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    Ok(response)
}

/// What was taken and not yet sent on.
enum Held {
    /// As it came.
    Messages {
        check: bool,
        open: Rope,
        grew: bool,
    },
    Traces {
        lane: Box<Lane>,
        clock: Clock,
    },
}

impl Held {
    fn new(between: Between) -> Self {
        match between {
            Between::Joined => {
                let lane = Lane::new(&Budget::new(256 << 20), Settings::default());
                Held::Traces { lane: Box::new(lane), clock: Clock::new() }
            }
            _ => Held::Messages { check: between == Between::Checked, open: Rope::default(), grew: false },
        }
    }

    /// How often to look at what rests.
    fn tick(&self) -> Duration {
        match self {
            Held::Messages { .. } => REST,
            Held::Traces { .. } => TICK,
        }
    }

    /// Takes a message; returns what is to be sent on by then.
    fn take(&mut self, message: Bytes) -> Vec<Sealed> {
        let walked = |detail| walk(Signal::Traces, &message, detail, &Limits::default()).unwrap();
        match self {
            Held::Messages { check, open, grew } => {
                if *check {
                    walked(Detail::Blocks);
                }
                // Messages one behind the other are one message: that is how protobuf merges.
                open.put_bytes(message);
                *grew = true;
                if open.len() >= BATCH { vec![std::mem::take(open).into()] } else { Vec::new() }
            }
            Held::Traces { lane, clock } => {
                let index = walked(Detail::Spans);
                lane.pass(clock.now(), Some(&(message, index)))
            }
        }
    }

    /// What has rested for long enough.
    fn rested(&mut self) -> Vec<Sealed> {
        match self {
            Held::Messages { open, grew, .. } => {
                if std::mem::take(grew) || open.is_empty() {
                    Vec::new()
                } else {
                    vec![std::mem::take(open).into()]
                }
            }
            Held::Traces { lane, clock } => lane.pass(clock.now(), None),
        }
    }
}

/// What is held, and where it goes.
struct Onward {
    to: SocketAddr,
    line: Line,
    held: RefCell<Held>,
}

/// How it gets there.
enum Line {
    /// All calls share a connection.
    Http2(client2::SendRequest<Full<Pieces>>),
    /// Connections nobody uses; each call has one.
    Http1(Rc<RefCell<Vec<client1::SendRequest<Full<Pieces>>>>>),
}

impl Onward {
    async fn new(between: Between, transport: Transport, to: SocketAddr) -> Self {
        let line = match transport {
            Transport::Http => Line::Http1(Rc::default()),
            Transport::Grpc => {
                let mut client = client2::Builder::new(Local);
                client.max_send_buf_size(4 << 20);
                let (sender, connection) = client.handshake(dial(to).await).await.unwrap();
                spawn_local(connection);
                Line::Http2(sender)
            }
        };
        Self { to, line, held: RefCell::new(Held::new(between)) }
    }

    fn take(&self, message: Bytes) {
        let full = self.held.borrow_mut().take(message);
        full.into_iter().for_each(|body| self.send(&body));
    }

    async fn send_rests(self: Rc<Self>) {
        let tick = self.held.borrow().tick();
        loop {
            tokio::time::sleep(tick).await;
            let rested = self.held.borrow_mut().rested();
            rested.into_iter().for_each(|body| self.send(&body));
        }
    }

    fn send(&self, body: &Sealed) {
        let mut pieces = VecDeque::from(body.pieces().to_vec());
        match &self.line {
            Line::Http2(sender) => {
                let bytes = u32::try_from(body.len()).unwrap();
                pieces.push_front(Bytes::from([&[0], bytes.to_be_bytes().as_slice()].concat()));
                let address = format!("http://{}{}", self.to, Signal::Traces.grpc_path());
                let mut request = Request::post(address).body(Full::new(Pieces(pieces))).unwrap();
                request.headers_mut().insert(CONTENT_TYPE, GRPC);
                request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
                let mut sender = sender.clone();
                spawn_local(async move {
                    sender.ready().await.unwrap();
                    sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
                });
            }
            Line::Http1(idle) => {
                let path = Signal::Traces.http_path();
                let mut request = Request::post(path).body(Full::new(Pieces(pieces))).unwrap();
                request.headers_mut().insert(HOST, HeaderValue::from_static("sink"));
                request.headers_mut().insert(CONTENT_TYPE, PROTOBUF);
                let (idle, to) = (idle.clone(), self.to);
                spawn_local(async move {
                    let free = idle.borrow_mut().pop();
                    let mut sender = match free {
                        Some(free) => free,
                        None => {
                            let (sender, connection) = client1::handshake(dial(to).await).await.unwrap();
                            spawn_local(connection);
                            sender
                        }
                    };
                    sender.ready().await.unwrap();
                    sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
                    idle.borrow_mut().push(sender);
                });
            }
        }
    }
}

async fn dial(to: SocketAddr) -> TokioIo<TcpStream> {
    let stream = TcpStream::connect(to).await.unwrap();
    stream.set_nodelay(true).unwrap();
    TokioIo::new(stream)
}

/// One frame of many pieces.
struct Pieces(VecDeque<Bytes>);

impl Buf for Pieces {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        slices.iter_mut().zip(&self.0).map(|(slice, piece)| *slice = IoSlice::new(piece)).count()
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let piece = &mut self.0[0];
            let step = count.min(piece.len());
            piece.advance(step);
            count -= step;
            if piece.is_empty() {
                self.0.pop_front();
            }
        }
    }
}

/// Everything on the thread there is.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output = ()> + 'static> Executor<F> for Local {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}
