//! Whether spans of a shape are worth waiting for log records: what they had lately.
//!
//! Spans and log records of one process leave it by two timers, so a trace that is whole may still lack what
//! its spans said, for as long as the slower timer takes. Only experience tells whether anything will come:
//! capturing content is off by default. A shape whose spans had records is waited for, up to `idle`; it is no
//! longer once as many as [`PATIENCE`] of its spans in a row went without. While a shape is new, its traces
//! wait that long anyway, which is when it is learned; a record that comes late teaches it again.
//!
//! The one surprise: of a shape whose spans had the record that ends a call, that one is waited for. What came
//! before it was sent before it, by the same exporter.

/// Spans without that it takes to give up. A call that failed has no answer, so some are without.
const PATIENCE: u8 = 64;

/// What a span is to have before its trace is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wants {
    Any,
    /// The record that ends a call (`Event::is_last`).
    Last,
}

/// What spans of one shape had: how long ago each is worth waiting for, in spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(super) struct Patience {
    any: u8,
    last: u8,
}

impl Patience {
    /// A span had records, or one came late.
    pub fn came(&mut self, last: bool) {
        self.any = PATIENCE;
        self.last = if last { PATIENCE } else { self.last.saturating_sub(1) };
    }

    /// A span that had its time had none.
    pub fn did_not_come(&mut self) {
        self.any = self.any.saturating_sub(1);
        self.last = self.last.saturating_sub(1);
    }

    pub fn wants(&self) -> Option<Wants> {
        match (self.any, self.last) {
            (0, _) => None,
            (_, 0) => Some(Wants::Any),
            _ => Some(Wants::Last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_expected_before_anything_came_and_not_for_ever_after() {
        let mut patience = Patience::default();
        assert_eq!(patience.wants(), None);
        patience.came(true);
        (1..PATIENCE).for_each(|_| patience.did_not_come());
        assert_eq!(patience.wants(), Some(Wants::Last));
        patience.did_not_come();
        assert_eq!(patience.wants(), None);
    }

    #[test]
    fn where_answers_stopped_coming_what_comes_is_enough() {
        let mut patience = Patience::default();
        patience.came(false);
        assert_eq!(patience.wants(), Some(Wants::Any));
        patience.came(true);
        (0..PATIENCE).for_each(|_| patience.came(false));
        assert_eq!(patience.wants(), Some(Wants::Any));
    }
}
