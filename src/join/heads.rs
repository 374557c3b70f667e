//! Interns what blocks say besides their spans: equal bytes are one `Head` while anything holds them.
//!
//! An SDK sends the same resource with every export, so nearly every look-up is a hit: a hash and a
//! comparison. What the join needs of a resource (its service, environment, release) is read once,
//! when its bytes are first seen.
//!
//! The one surprise: nobody tells the table when a head is let go. It looks for heads nobody holds
//! when it has doubled since it last looked, so stale ones are never more than half of it.

use std::hash::{BuildHasher, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;
use bytes::Bytes;
use hashbrown::HashTable;

use super::shapes::Shapes;
use crate::model::Caller;
use crate::semantics::{Facts, RESOURCE_ATTRIBUTES, facts, said};
use crate::wire::block::BlockHead;
use crate::wire::{Index, walk};

/// A resource's or a scope's bytes, interned: equal bytes are one `Head` while anything holds them.
#[derive(Debug)]
pub struct Head {
    /// Unique in this process for as long as it runs; never used again for other bytes.
    pub id: u64,
    /// Unique like it, and the same for equal bytes whoever sent them.
    pub bytes_id: u64,
    pub bytes: BlockHead,
    kind: Kind,
    /// `service.name` of a resource, the name of a scope.
    name: Box<str>,
    /// Whose requests it came in, where rules ask: spans of different callers never share a block.
    caller: Option<Arc<Caller>>,
    facts: Facts<Option<Rc<str>>>,
}

/// What a head is the head of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Resource,
    Scope,
}

impl Head {
    /// A head by itself, outside any table. `release_key`: see `semantics::release::keys`.
    pub(super) fn new(kind: Kind, bytes: BlockHead, release_key: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let message = body(&bytes.first);
        let (name, facts) = match kind {
            Kind::Resource => (
                said(&["service.name"], message, RESOURCE_ATTRIBUTES)[0].unwrap_or_default(),
                owned(facts(message, RESOURCE_ATTRIBUTES, release_key)),
            ),
            Kind::Scope => (scope_name(message), Facts::default()),
        };
        let cut = (0..=NAME_MAX.min(name.len())).rev().find(|&at| name.is_char_boundary(at));
        let name = name.get(..cut.unwrap_or(0)).unwrap_or_default().into();
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, bytes_id: id, bytes, kind, name, caller: None, facts }
    }

    /// The body of the Resource or InstrumentationScope message; empty when absent.
    pub fn body(&self) -> &[u8] {
        body(&self.bytes.first)
    }

    /// `service.name` of a resource, the name of a scope, its first 128 bytes; empty when it says none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is known of the requests it came in.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_deref()
    }

    /// What a resource says of itself.
    pub(super) fn facts(&self) -> &Facts<Option<Rc<str>>> {
        &self.facts
    }

    /// Bytes it takes while it is interned.
    fn cost(&self) -> usize {
        // Who sent it is paid for with its origin.
        OVERHEAD + self.bytes.first.len() + self.bytes.rest.len() + self.name.len()
    }
}

/// Longer names are cut: they tell shapes apart, and are shown.
const NAME_MAX: usize = 128;
/// The struct, its place in the table, the shared buffer's own bookkeeping.
const OVERHEAD: usize = size_of::<Head>() + 96;

fn owned(facts: Facts<Option<&str>>) -> Facts<Option<Rc<str>>> {
    let own = |text: Option<&str>| text.map(Rc::from);
    Facts { environment: facts.environment.map(own), release: facts.release.map(own) }
}

/// The message inside one whole field: past a one-byte tag and the length.
fn body(field: &[u8]) -> &[u8] {
    let after_tag = field.get(1..).unwrap_or_default();
    let length_bytes =
        after_tag.iter().position(|byte| byte & 0x80 == 0).map_or(after_tag.len(), |at| at + 1);
    after_tag.get(length_bytes..).unwrap_or_default()
}

/// The name of an InstrumentationScope where it stands first, as every SDK writes it.
fn scope_name(message: &[u8]) -> &str {
    let field = message.strip_prefix(&[0x0a]).unwrap_or_default();
    let (&len, text) = field.split_first().unwrap_or((&0, &[]));
    text.get(..usize::from(len)).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// The heads one join holds.
#[derive(Debug)]
pub(super) struct Heads {
    table: HashTable<Rc<Head>>,
    hasher: RandomState,
    release_key: Arc<str>,
    /// The head being looked up, laid out as it would be kept.
    scratch: Vec<u8>,
    bytes: usize,
    sweep_at: usize,
    sweep_min: usize,
}

impl Heads {
    /// Stale heads may take up to `slack` bytes, or as much as live ones.
    pub fn new(hasher: RandomState, slack: usize, release_key: Arc<str>) -> Self {
        Self {
            table: HashTable::new(),
            hasher,
            release_key,
            scratch: Vec::new(),
            bytes: 0,
            sweep_at: slack,
            sweep_min: slack,
        }
    }

    /// Bytes all heads take, stale ones included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The head of a walked block.
    pub fn intern(&mut self, kind: Kind, body: &[u8], index: &Index, head: &walk::Head) -> Rc<Head> {
        self.intern_of(None, kind, body, index, head)
    }

    /// The same where it matters who sent it.
    pub fn intern_of(
        &mut self,
        caller: Option<&Arc<Caller>>,
        kind: Kind,
        body: &[u8],
        index: &Index,
        head: &walk::Head,
    ) -> Rc<Head> {
        // Known without its caller, it lends its bytes and their name.
        let twin = caller.map(|_| self.intern(kind, body, index, head));
        let split = self.lay_out(body, index, head);
        let (first, rest) = self.scratch.split_at(split);
        let hash = hash_of(&self.hasher, kind, first, rest);
        let equal = |held: &Rc<Head>| {
            held.kind == kind
                && held.caller.as_ref() == caller
                && held.bytes.first == first
                && held.bytes.rest == rest
        };
        if let Some(held) = self.table.find(hash, equal) {
            return held.clone();
        }
        self.sweep_if_due();
        let whole = Bytes::copy_from_slice(&self.scratch);
        let bytes = BlockHead { first: whole.slice(..split), rest: whole.slice(split..) };
        let new = Head::new(kind, bytes, &self.release_key);
        let new = Rc::new(match twin {
            None => new,
            Some(twin) => {
                let bytes = twin.bytes.clone();
                Head { bytes_id: twin.id, bytes, caller: caller.cloned(), ..new }
            }
        });
        self.bytes += new.cost();
        let hasher = &self.hasher;
        let rehash = |h: &Rc<Head>| hash_of(hasher, h.kind, &h.bytes.first, &h.bytes.rest);
        self.table.insert_unique(hash, new.clone(), rehash);
        new
    }

    /// Writes the block's head to `scratch`: several field-1 messages merge into one by standing one
    /// behind the other (conformance P01). Returns where `rest` begins.
    fn lay_out(&mut self, body: &[u8], index: &Index, head: &walk::Head) -> usize {
        let pieces = |(from, to): (u32, u32)| {
            index.pieces.get(from as usize..to as usize).unwrap_or_default().iter().map(|r| r.of(body))
        };
        self.scratch.clear();
        if head.first.0 != head.first.1 {
            let mut length = pieces(head.first).map(<[u8]>::len).sum::<usize>();
            self.scratch.push(0x0a);
            while length >= 0x80 {
                self.scratch.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            self.scratch.push(length as u8);
            pieces(head.first).for_each(|piece| self.scratch.extend_from_slice(piece));
        }
        let split = self.scratch.len();
        pieces(head.rest).for_each(|piece| self.scratch.extend_from_slice(piece));
        split
    }

    fn sweep_if_due(&mut self) {
        if self.bytes < self.sweep_at {
            return;
        }
        self.table.retain(|head| Rc::strong_count(head) > 1);
        self.bytes = self.table.iter().map(|head| head.cost()).sum();
        self.sweep_at = (2 * self.bytes).max(self.sweep_min);
        let hasher = &self.hasher;
        self.table
            .shrink_to(self.table.len() * 2, |h| hash_of(hasher, h.kind, &h.bytes.first, &h.bytes.rest));
    }
}

/// Resource and scope of a block, and what the shapes of its spans have in common.
#[derive(Debug)]
pub(super) struct BlockHeads {
    pub resource: Rc<Head>,
    pub scope: Rc<Head>,
    pub shape_key: u64,
}

/// Heads of the request being taken, by its scope blocks: looked up when the first span is taken.
#[derive(Debug, Default)]
pub(super) struct RequestHeads(Vec<Option<BlockHeads>>);

impl RequestHeads {
    pub fn begin(&mut self, index: &Index) {
        self.0.resize_with(index.scopes.len().max(1), || None);
    }

    /// Lets go of the heads, so that they are held only where spans are.
    pub fn end(&mut self) {
        self.0.clear();
    }

    /// The heads of a scope block of the request that was begun.
    pub fn of(
        &mut self,
        heads: &mut Heads,
        shapes: &Shapes,
        (body, index): (&Bytes, &Index),
        scope: u32,
        caller: Option<&Arc<Caller>>,
    ) -> &BlockHeads {
        debug_assert!(
            (scope as usize) < index.scopes.len(),
            "a span names a scope of its own request, always"
        );
        let at = (scope as usize).min(self.0.len() - 1);
        self.0[at].get_or_insert_with(|| {
            let entry = index.scopes.get(at).copied().unwrap_or_default();
            let resource = index.resources.get(entry.resource as usize).copied().unwrap_or_default();
            let resource = heads.intern_of(caller, Kind::Resource, body, index, &resource.head);
            let scope = heads.intern(Kind::Scope, body, index, &entry.head);
            let shape_key = shapes.block_key(resource.name(), scope.name());
            BlockHeads { resource, scope, shape_key }
        })
    }
}

fn hash_of(hasher: &RandomState, kind: Kind, first: &[u8], rest: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_usize(first.len() << 1 | kind as usize);
    state.write(first);
    state.write(rest);
    state.finish()
}
