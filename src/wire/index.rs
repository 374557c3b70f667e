//! What a walk finds: where the resources, scopes and spans of a request are. Ranges, never copies.

use std::sync::LazyLock;

use ahash::RandomState;

use super::noted::Noted;
use super::{Fault, SpanId, TraceId};

/// Bounds a walk keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// AnyValue levels (conformance P11).
    pub depth: u32,
    /// Heap bytes the index may take. A request whose index would be larger is malformed.
    pub index_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 30, index_bytes: 256 << 20 }
    }
}

/// How much to index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Resource blocks and counts: enough to label and pass on.
    Blocks,
    /// Also what the join needs: of traces scope blocks and spans, of logs the records that belong to spans.
    Spans,
}

/// A byte range of the walked request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Range {
    pub at: u32,
    pub len: u32,
}

impl Range {
    /// The bytes meant. Empty when out of bounds, which a walk's own ranges never are.
    pub fn of(self, body: &[u8]) -> &[u8] {
        let at = self.at as usize;
        body.get(at..at + self.len as usize).unwrap_or_default()
    }
}

/// What a block says besides its items. Raw fields (tags included), in `Index::pieces[from..to]`.
/// `first` pieces are the Resource or InstrumentationScope (field 1; several are legal and merge,
/// conformance P01), `rest` all others but field 2 (schema_url, unknown fields), in wire order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head {
    /// `pieces[first.0..first.1]`: the BODIES of the field-1 messages (no tag, no length).
    pub first: (u32, u32),
    /// `pieces[rest.0..rest.1]`: whole other fields, tag and length included.
    pub rest: (u32, u32),
}

/// One resource block with at least one accepted item. Blocks without items are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResourceEntry {
    /// The body of the ResourceSpans/Metrics/Logs message (no tag, no length).
    pub block: Range,
    pub head: Head,
    /// Accepted items inside.
    pub items: u32,
}

/// One scope block with at least one accepted span (`Detail::Spans` only).
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeEntry {
    /// Index into `Index::resources`.
    pub resource: u32,
    pub head: Head,
}

/// One accepted span (`Detail::Spans` only).
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanEntry {
    pub trace: TraceId,
    pub span: SpanId,
    /// `SpanId::NONE` for a root; an all-zero parent on the wire reads so too (conformance D06).
    pub parent: SpanId,
    /// The body of the Span message (no tag, no length).
    pub body: Range,
    pub name: Range,
    /// Equal names have equal keys in this process, and others almost never: see [`name_key`].
    pub name_key: u64,
    /// Index into `Index::scopes`.
    pub scope: u32,
    /// W3C flags in bits 0-7, 8 HAS_IS_REMOTE, 9 IS_REMOTE (conformance D01).
    pub flags: u32,
    pub kind: u8,
    /// Eight zero bytes were sent as the parent instead of nothing.
    pub zero_parent: bool,
    /// `end_time_unix_nano` is present and not zero.
    pub ended: bool,
    /// What its attributes' keys tell layers above.
    pub noted: Noted,
    /// `start_time_unix_nano`, 0 when absent: the join orders siblings by it.
    pub start: u64,
}

/// Names a span name in eight bytes, worked out while its bytes are at hand: whoever looks at the span later,
/// on another thread, need not read them again. Keyed anew in each process.
pub fn name_key(name: &[u8]) -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEYS.hash_one(name)
}

/// One accepted log record that is an event of a span (`Detail::Spans` only; [`super::noted`] says which). The
/// span may be none of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoteEntry {
    pub trace: TraceId,
    pub span: SpanId,
    /// The body of the LogRecord message (no tag, no length).
    pub body: Range,
}

impl SpanEntry {
    /// `sent`: the field is there and not empty.
    pub(super) fn set_parent(&mut self, parent: SpanId, sent: bool) {
        self.parent = parent;
        self.zero_parent = sent && parent.is_none();
    }
}

/// Items refused one by one, while their neighbours go on.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// Exact number of items (spans, records, data points) refused.
    pub items: u64,
    /// The first few, as `path: fault`. At most `Refused::NAMED_MAX`.
    pub named: Vec<(String, Fault)>,
}

impl Refused {
    pub const NAMED_MAX: usize = 5;
}

/// What a walk found.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Accepted items: spans, log records, data points (profiles: profiles).
    pub items: u64,
    pub refused: Refused,
    pub resources: Vec<ResourceEntry>,
    pub scopes: Vec<ScopeEntry>,
    pub spans: Vec<SpanEntry>,
    pub notes: Vec<NoteEntry>,
    pub pieces: Vec<Range>,
}

/// Spans of one trace that stand side by side in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    from: u32,
    len: u32,
}

impl Index {
    /// The spans of the traces that `mine` says, in runs; of each trace in a row it is asked once.
    pub fn runs(
        &self,
        mine: impl Fn(TraceId) -> bool + Clone,
    ) -> impl Iterator<Item = (TraceId, Run)> + Clone {
        let mut from = 0;
        let all = self.spans.chunk_by(|one, next| one.trace == next.trace).map(move |run| {
            let at = from;
            // A request is shorter than 4 GiB.
            let len = run.len() as u32;
            from += len;
            (run.first().map_or(TraceId::NONE, |first| first.trace), Run { from: at, len })
        });
        all.filter(move |(trace, _)| mine(*trace))
    }

    /// The spans of a run.
    pub fn of_run(&self, run: Run) -> &[SpanEntry] {
        self.spans.get(run.from as usize..(run.from + run.len) as usize).unwrap_or_default()
    }

    /// Heap bytes taken, for the byte budget.
    pub fn heap_bytes(&self) -> usize {
        self.resources.capacity() * size_of::<ResourceEntry>()
            + self.scopes.capacity() * size_of::<ScopeEntry>()
            + self.spans.capacity() * size_of::<SpanEntry>()
            + self.notes.capacity() * size_of::<NoteEntry>()
            + self.pieces.capacity() * size_of::<Range>()
    }
}
