//! The bytes: inflating a request, walking it, writing two labels into it.

use std::hint::black_box;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use spandrel::receive::probe::{Coding, Probe};
use spandrel::wire::attr::Value;
use spandrel::wire::block::{first_body, put_block_with};
use spandrel::wire::splice::{self, Edit};
use spandrel::wire::{Detail, Index, Limits, Rope, Signal, walk};

use crate::Step;
use crate::common::Content;

const SPANS: u16 = 100;
/// Spans of a request that are calls to a model.
const TEXTS: u64 = 20;
/// Requests of a run.
const TIMES: u64 = 20;
const LARGEST: usize = 64 << 20;

pub fn steps() -> Vec<Step> {
    vec![
        step("wire/inflate", {
            let (probe, gzipped) = (Probe::new(LARGEST, LARGEST), gzipped(&request()));
            move || {
                let inflated = probe.inflate(Coding::Gzip, black_box(&gzipped), LARGEST);
                black_box(inflated.expect("it is gzip"));
            }
        }),
        // What the join needs.
        step("wire/walk_spans", {
            let body = request();
            move || _ = black_box(walked(&body, Detail::Spans))
        }),
        // The same where no span has the attributes of the one before.
        step("wire/walk_differing", {
            let body = counted(&request(), b"http-nio-8080-exec-7");
            move || _ = black_box(walked(&body, Detail::Spans))
        }),
        // Calls to a model, most of whose texts are those of the one before.
        Step {
            spans: TEXTS * TIMES,
            ..step("wire/walk_texts", {
                let body = texts();
                move || _ = black_box(walked(&body, Detail::Spans))
            })
        },
        // The same where none are.
        Step {
            spans: TEXTS * TIMES,
            ..step("wire/walk_texts_differing", {
                let body = counted(&texts(), b"The basket holds");
                move || _ = black_box(walked(&body, Detail::Spans))
            })
        },
        // What passing on needs.
        step("wire/walk_blocks", {
            let body = request();
            move || _ = black_box(walked(&body, Detail::Blocks))
        }),
        // Two labels into the one resource of the request.
        step("wire/splice", {
            let body = request();
            let index = walked(&body, Detail::Blocks);
            move || _ = black_box(labelled(&body, &index))
        }),
        // The same, and the block written with it.
        step("wire/pass_on", {
            let body = request();
            let index = walked(&body, Detail::Blocks);
            move || {
                let mut out = Rope::default();
                for entry in &index.resources {
                    put_block_with(&body, entry.block, &labelled(&body, &index), &mut out);
                }
                black_box(out);
            }
        }),
    ]
}

fn step(name: &'static str, mut once: impl FnMut() + 'static) -> Step {
    let run = Box::new(move |meter: &mut crate::Meter| {
        (0..TIMES).for_each(|_| meter.measure(&mut once));
    });
    Step { name, spans: u64::from(SPANS) * TIMES, run }
}

fn request() -> Bytes {
    Content::Flat(SPANS).templates()[0].fresh(1)
}

fn texts() -> Bytes {
    Content::Llm.templates()[0].fresh(1)
}

/// The last letter of this text wherever it stands becomes a digit, each time the next.
fn counted(body: &Bytes, text: &[u8]) -> Bytes {
    let mut body = body.to_vec();
    let ends: Vec<usize> = (text.len()..=body.len()).filter(|end| body[..*end].ends_with(text)).collect();
    ends.iter().zip((b'0'..=b'9').cycle()).for_each(|(end, digit)| body[end - 1] = digit);
    body.into()
}

fn walked(body: &Bytes, detail: Detail) -> Index {
    walk(Signal::Traces, black_box(body), detail, &Limits::default()).expect("a good request")
}

fn labelled(body: &Bytes, index: &Index) -> Vec<u8> {
    let label =
        |key, value: &'static str| Edit { key, value: Value::Str(value.as_bytes()), overwrite: false };
    let edits = [label("deployment.environment.name", "production"), label("service.version", "4f1d0c2")];
    let resource = index.resources.first().map(|entry| first_body(body, index, &entry.head));
    splice::attributes(&resource.unwrap_or_default(), splice::RESOURCE_ATTRIBUTES, &edits)
}

fn gzipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("memory takes everything")
}
