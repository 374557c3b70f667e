//! What traces left with, besides their spans: kept once for all that left with the same.
//!
//! Traces of one environment that leave whole leave with the same words; what a trace says of itself is its own, and is
//! held no longer than it is remembered. So only the last few that say nothing are compared.

use std::rc::Rc;

use super::Context;
use super::origins::Shared;
use crate::model::{Destination, Draw, Reason};

/// How many are held against the next.
const RECENT: usize = 4;

/// What left of a trace, besides its spans.
#[derive(Clone, Debug)]
pub(super) struct Farewell {
    pub context: Context,
    pub origin: Shared,
    pub reason: Reason,
    /// Its root has left, or a part before it knew of one.
    pub root_known: bool,
    /// What sampling decided about it.
    pub drawn: Option<Draw>,
    /// Where rules sent it; unknown where none does.
    pub routed: Option<Option<Destination>>,
}

/// The same, lent by whoever has it: most are known, and need not be written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words<'a> {
    pub context: &'a Context,
    pub origin: &'a Shared,
    pub reason: Reason,
    pub root_known: bool,
    pub drawn: Option<Draw>,
    pub routed: Option<Option<Destination>>,
}

impl Words<'_> {
    fn are_of(&self, known: &Farewell) -> bool {
        Rc::ptr_eq(self.origin, &known.origin)
            && (self.reason, self.root_known, self.drawn, self.routed)
                == (known.reason, known.root_known, known.drawn, known.routed)
            && *self.context == known.context
    }

    fn written(&self) -> Farewell {
        let Self { context, origin, reason, root_known, drawn, routed } = *self;
        Farewell { context: context.clone(), origin: origin.clone(), reason, root_known, drawn, routed }
    }
}

impl Farewell {
    pub fn words(&self) -> Words<'_> {
        let Self { context, origin, reason, root_known, drawn, routed } = self;
        Words { context, origin, reason: *reason, root_known: *root_known, drawn: *drawn, routed: *routed }
    }

    fn cost(&self) -> usize {
        /// Two counts stand before what is shared.
        const COUNTS: usize = 16;
        size_of::<Self>() + COUNTS + self.context.said.as_ref().map_or(0, |said| said.bytes())
    }
}

/// The farewells one ledger holds.
#[derive(Debug, Default)]
pub(super) struct Farewells {
    recent: [Option<Rc<Farewell>>; RECENT],
    /// Which of them makes room next.
    hand: usize,
    bytes: usize,
}

impl Farewells {
    /// Heap bytes of all that are held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The one that all share who left with the same.
    pub fn share(&mut self, words: Words<'_>) -> Rc<Farewell> {
        let is_its_own = words.context.said.is_some();
        if let Some(known) = self.recent.iter().flatten().find(|known| !is_its_own && words.are_of(known)) {
            return known.clone();
        }
        let farewell = words.written();
        self.bytes += farewell.cost();
        let shared = Rc::new(farewell);
        if is_its_own {
            return shared;
        }
        let place = self.recent.get_mut(self.hand);
        if let Some(old) = place.and_then(|place| place.replace(shared.clone())) {
            self.forget(old);
        }
        self.hand = (self.hand + 1) % RECENT;
        shared
    }

    /// Takes back what was shared.
    pub fn forget(&mut self, farewell: Rc<Farewell>) {
        if let Some(last) = Rc::into_inner(farewell) {
            self.bytes -= last.cost();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Origin;

    fn farewell(origin: &Shared, environment: &str) -> Farewell {
        let context = Context { environment: Some(environment.into()), ..Context::default() };
        Farewell {
            context,
            origin: origin.clone(),
            reason: Reason::Complete,
            root_known: true,
            drawn: None,
            routed: None,
        }
    }

    #[test]
    fn what_is_the_same_is_there_once_and_the_books_close() {
        let (mut farewells, origin) = (Farewells::default(), Rc::new(Origin::anonymous()));
        let mut held = Vec::new();
        for nth in 0..40 {
            let known = farewell(&origin, ["production", "staging"][nth % 2]);
            held.push(farewells.share(known.words()));
        }
        let two = farewells.bytes();
        assert!(Rc::ptr_eq(&held[0], &held[38]) && !Rc::ptr_eq(&held[0], &held[1]));
        assert_eq!(two, 2 * held[0].cost());
        for nth in 0..2 * RECENT {
            held.push(farewells.share(farewell(&origin, &format!("preview-{nth}")).words()));
        }
        assert_eq!(farewells.bytes(), two + 2 * RECENT * held[0].cost());
        held.into_iter().for_each(|one| farewells.forget(one));
        assert_eq!(farewells.bytes(), two / 2 * RECENT, "but for the last few");
    }

    #[test]
    fn what_a_trace_says_of_itself_goes_with_it() {
        let (mut farewells, origin) = (Farewells::default(), Rc::new(Origin::anonymous()));
        let mut speaking = farewell(&origin, "production");
        speaking.context.said = Some(Arc::default());
        let (one, other) = (farewells.share(speaking.words()), farewells.share(speaking.words()));
        assert!(!Rc::ptr_eq(&one, &other));
        [one, other].into_iter().for_each(|one| farewells.forget(one));
        assert_eq!(farewells.bytes(), 0);
    }

    #[test]
    fn what_another_decided_or_said_is_not_the_same() {
        let (mut farewells, origin) = (Farewells::default(), Rc::new(Origin::anonymous()));
        let first = farewells.share(farewell(&origin, "production").words());
        let others = [
            Farewell { reason: Reason::Late, ..farewell(&origin, "production") },
            Farewell { drawn: Some(Draw::Out), ..farewell(&origin, "production") },
            Farewell { routed: Some(None), ..farewell(&origin, "production") },
            farewell(&Rc::new(Origin::anonymous()), "production"),
        ];
        for other in others {
            assert!(!Rc::ptr_eq(&first, &farewells.share(other.words())));
        }
    }
}
