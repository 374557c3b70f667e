//! Where something goes: some of the upstreams, by their place in the configuration.

/// Upstreams that can be told apart here; no configuration has nearly as many.
pub const UPSTREAMS_MAX: usize = 64;

/// Some of the upstreams, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Destination(u64);

impl Destination {
    pub const NOWHERE: Self = Self(0);

    /// The upstream in this place and no other; nowhere when there is no such place.
    pub fn of(nth: usize) -> Self {
        Self(u32::try_from(nth).ok().and_then(|nth| 1_u64.checked_shl(nth)).unwrap_or(0))
    }

    pub fn has(self, nth: usize) -> bool {
        !(self & Self::of(nth)).is_nowhere()
    }

    pub fn is_nowhere(self) -> bool {
        self.0 == 0
    }

    /// What two words about one thing come to; where neither says anything, nothing.
    pub fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(one | other),
            (one, other) => one.or(other),
        }
    }
}

impl std::ops::BitOr for Destination {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitAnd for Destination {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<usize> for Destination {
    fn from_iter<I: IntoIterator<Item = usize>>(places: I) -> Self {
        places.into_iter().fold(Self::NOWHERE, |all, nth| all | Self::of(nth))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart_up_to_the_last() {
        let some: Destination = [0, 2, 63].into_iter().collect();
        let has: Vec<usize> = (0..70).filter(|nth| some.has(*nth)).collect();
        assert_eq!(has, [0, 2, 63]);
        assert!(Destination::of(UPSTREAMS_MAX).is_nowhere() && Destination::of(usize::MAX).is_nowhere());
    }

    #[test]
    fn two_words_come_to_both() {
        let (a, b) = (Destination::of(0), Destination::of(1));
        assert_eq!(Destination::both(Some(a), Some(b)), Some([0, 1].into_iter().collect()));
        assert_eq!(Destination::both(None, Some(b)), Some(b));
        assert_eq!(Destination::both(None, None), None);
    }
}
