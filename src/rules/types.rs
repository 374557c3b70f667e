//! What is known of a value before there is one: the types it may have.

/// A set of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Types(u16);

impl Types {
    pub const NIL: Self = Self(1);
    pub const BOOL: Self = Self(2);
    pub const INT: Self = Self(4);
    pub const DOUBLE: Self = Self(8);
    pub const STR: Self = Self(16);
    pub const BYTES: Self = Self(32);
    pub const TIME: Self = Self(64);
    pub const DURATION: Self = Self(128);
    pub const LIST: Self = Self(256);
    pub const MAP: Self = Self(512);
    pub const ANY: Self = Self(1023);
    pub const NUMBER: Self = Self::INT.or(Self::DOUBLE);

    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a value can be of both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// In words: `a string or bytes`.
    pub fn words(self) -> String {
        const WORDS: [(Types, &str); 10] = [
            (Types::BOOL, "a boolean"),
            (Types::INT, "an integer"),
            (Types::DOUBLE, "a float"),
            (Types::STR, "a string"),
            (Types::BYTES, "bytes"),
            (Types::TIME, "a time"),
            (Types::DURATION, "a duration"),
            (Types::LIST, "a list"),
            (Types::MAP, "a map"),
            (Types::NIL, "nil"),
        ];
        if self == Self::ANY {
            return "a value".into();
        }
        let said: Vec<&str> =
            WORDS.iter().filter(|(one, _)| self.meets(*one)).map(|(_, word)| *word).collect();
        said.join(" or ")
    }
}
