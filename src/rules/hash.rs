//! A seeded hash of short texts, and whether two are the same: without a call for either.
//!
//! Nobody outside knows the seeds, so two texts have the same hash with a chance of one in 2^63, whoever chose them.

use ahash::RandomState;

#[derive(Clone, Copy, Debug)]
pub struct Hash {
    seeds: [u64; 2],
    /// The bits that count. Tests take fewer, so that texts meet.
    counted: u64,
}

impl Default for Hash {
    fn default() -> Self {
        Self::new()
    }
}

impl Hash {
    pub fn new() -> Self {
        let hasher = RandomState::new();
        Self { seeds: [1_u8, 2].map(|nth| hasher.hash_one(nth) | 1), counted: u64::MAX }
    }

    /// One of so few bits that nearly all texts meet.
    #[cfg(test)]
    pub fn weak() -> Self {
        Self { counted: 1, ..Self::new() }
    }

    /// Sixteen bytes at a time, multiplied with each other: texts are short.
    #[inline]
    pub fn of(&self, text: &[u8]) -> u64 {
        let mix = |hash: u64, bytes: &[u8; 16]| self.mixed(hash, u128::from_le_bytes(*bytes));
        let (whole, rest) = text.as_chunks::<16>();
        let hash = whole.iter().fold(text.len() as u64, mix);
        let hash = match (text.last_chunk::<16>(), text.first_chunk::<8>(), text.last_chunk::<8>()) {
            _ if rest.is_empty() => hash,
            // The last sixteen, some of them for the second time.
            (Some(last), ..) => mix(hash, last),
            (None, Some(first), Some(last)) => {
                let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
                self.mixed(hash, u128::from(first) | u128::from(last) << 64)
            }
            _ => self.mixed(hash, rest.iter().fold(0, |all: u128, byte| all << 8 | u128::from(*byte))),
        };
        hash & self.counted
    }

    /// Of several texts.
    #[inline]
    pub fn of_all<'t>(&self, mut texts: impl Iterator<Item = &'t [u8]>) -> u64 {
        let first = texts.next().map_or(0, |text| self.of(text));
        texts.fold(first, |all, text| self.mixed(all, self.of(text).into())) & self.counted
    }

    #[inline]
    fn mixed(&self, hash: u64, bytes: u128) -> u64 {
        let [start, factor] = self.seeds;
        let (low, high) = (bytes as u64, (bytes >> 64) as u64);
        let product = u128::from(hash ^ low ^ start) * u128::from(high ^ factor);
        product as u64 ^ (product >> 64) as u64
    }
}

/// Whether two texts are the same, eight bytes at a time.
#[inline]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    let ((whole, rest), (others, _)) = (left.as_chunks::<8>(), right.as_chunks::<8>());
    left.len() == right.len()
        && whole.iter().zip(others).all(|(one, other)| one == other)
        && match (left.last_chunk::<8>(), right.last_chunk::<8>()) {
            _ if rest.is_empty() => true,
            // Some of them for the second time.
            (Some(last), Some(other)) => last == other,
            _ => left == right,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_same_where_every_byte_is() {
        let text: Vec<u8> = (0..40).collect();
        for len in 0..text.len() {
            let (hash, one) = (Hash::new(), &text[..len]);
            assert!(same(one, &text[..len]) && !same(one, &text[..=len]) && !same(&text[..=len], one));
            for at in 0..len {
                let mut other = one.to_vec();
                other[at] ^= 1;
                assert!(!same(one, &other));
                assert_ne!(hash.of(one), hash.of(&other));
            }
        }
    }
}
