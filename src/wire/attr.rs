//! KeyValue and AnyValue, read without decoding, and written.
//!
//! Reading is tolerant: what has been walked is well formed, anything else ends early. Of a repeated
//! singular field the last one counts, as in any protobuf reader (conformance P04, P05).

use super::fields::{self, Fields, Payload};

/// A reading of one AnyValue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Empty,
    /// UTF-8, as the walk has checked.
    Str(&'a [u8]),
    Bool(bool),
    Int(i64),
    Double(f64),
    /// The body of an ArrayValue.
    Array(&'a [u8]),
    /// The body of a KeyValueList.
    Map(&'a [u8]),
    Bytes(&'a [u8]),
}

/// A reading of one KeyValue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attr<'a> {
    pub key: &'a [u8],
    pub value: Value<'a>,
}

impl<'a> Value<'a> {
    /// Reads the body of an AnyValue.
    pub fn of(any_value: &'a [u8]) -> Self {
        Self::Empty.updated(any_value)
    }

    /// This value after another encoding was merged into it: members set there win.
    pub(super) fn updated(self, any_value: &'a [u8]) -> Self {
        Fields::of(any_value).fold(self, |value, field| match (field.number, field.payload) {
            (1, Payload::Len(text)) => Value::Str(text),
            (2, Payload::Varint(truth)) => Value::Bool(truth != 0),
            (3, Payload::Varint(number)) => Value::Int(number.cast_signed()),
            (4, Payload::Fixed64(bits)) => Value::Double(f64::from_bits(bits)),
            (5, Payload::Len(array)) => Value::Array(array),
            (6, Payload::Len(map)) => Value::Map(map),
            (7, Payload::Len(bytes)) => Value::Bytes(bytes),
            // string_value_strindex: names nothing outside profiles, hence absent (conformance G15).
            (8, Payload::Varint(_)) => Value::Empty,
            _ => value,
        })
    }

    /// The text of a string value.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Value::Str(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// The elements of an array; none of anything else.
    pub fn elements(self) -> impl Iterator<Item = Value<'a>> {
        let body = if let Value::Array(body) = self { body } else { &[] };
        messages(body, 1).map(Value::of)
    }

    /// The entries of a map; none of anything else.
    pub fn entries(self) -> impl Iterator<Item = Attr<'a>> {
        attributes(if let Value::Map(body) = self { body } else { &[] }, 1)
    }

    /// Appends the AnyValue's body.
    pub fn put(self, out: &mut Vec<u8>) {
        match self {
            Value::Empty => {}
            Value::Str(text) => fields::put_len_field(1, text, out),
            Value::Bool(truth) => out.extend_from_slice(&[2 << 3, u8::from(truth)]),
            Value::Int(number) => {
                out.push(3 << 3);
                super::varint::put(number.cast_unsigned(), out);
            }
            Value::Double(number) => {
                out.push(4 << 3 | 1);
                out.extend_from_slice(&number.to_le_bytes());
            }
            Value::Array(body) => fields::put_len_field(5, body, out),
            Value::Map(body) => fields::put_len_field(6, body, out),
            Value::Bytes(bytes) => fields::put_len_field(7, bytes, out),
        }
    }

    /// Bytes [`Self::put`] appends.
    pub fn put_len(self) -> usize {
        match self {
            Value::Empty => 0,
            Value::Bool(_) => 2,
            Value::Int(number) => 1 + super::varint::len(number.cast_unsigned()),
            Value::Double(_) => 9,
            Value::Str(body) | Value::Array(body) | Value::Map(body) | Value::Bytes(body) => {
                fields::len_field_len(1, body.len())
            }
        }
    }
}

impl<'a> Attr<'a> {
    /// Reads the body of a KeyValue.
    pub fn of(key_value: &'a [u8]) -> Self {
        let empty = Attr { key: &[], value: Value::Empty };
        Fields::of(key_value).fold(empty, |attr, field| match (field.number, field.payload) {
            (1, Payload::Len(key)) => Attr { key, ..attr },
            (2, Payload::Len(value)) => Attr { value: attr.value.updated(value), ..attr },
            _ => attr,
        })
    }

    /// The key alone, where most are of no interest.
    #[inline]
    pub fn key_of(key_value: &'a [u8]) -> &'a [u8] {
        match Self::usual(key_value) {
            Some((key, _)) => key,
            None => messages(key_value, 1).last().unwrap_or_default(),
        }
    }

    /// The body of its value, where the KeyValue is written as every SDK writes it and says nothing twice.
    #[inline]
    pub fn body_of(key_value: &'a [u8]) -> Option<&'a [u8]> {
        Self::usual(key_value).map(|(_, body)| body)
    }

    /// Key and value's body of a KeyValue that is written as every SDK writes it: these two, and nothing else.
    #[inline]
    pub fn usual(key_value: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let [0x0a, len @ ..0x80, rest @ ..] = key_value else { return None };
        let (key, rest) = rest.split_at_checked((*len).into())?;
        let (len, value) = match rest {
            [0x12, len @ ..0x80, value @ ..] => (usize::from(*len), value),
            [0x12, low, high @ ..0x80, value @ ..] => {
                (usize::from(low & 0x7f) | usize::from(*high) << 7, value)
            }
            _ => return None,
        };
        (value.len() == len).then_some((key, value))
    }

    /// Appends a whole KeyValue as field `field`.
    pub fn put(self, field: u32, out: &mut Vec<u8>) {
        let value_len = self.value.put_len();
        fields::put_len_prefix(field, self.body_len(value_len), out);
        fields::put_len_field(1, self.key, out);
        fields::put_len_prefix(2, value_len, out);
        self.value.put(out);
    }

    /// Bytes [`Self::put`] appends.
    pub fn put_len(self, field: u32) -> usize {
        fields::len_field_len(field, self.body_len(self.value.put_len()))
    }

    fn body_len(self, value_len: usize) -> usize {
        fields::len_field_len(1, self.key.len()) + fields::len_field_len(2, value_len)
    }
}

/// The KeyValue list of `message` at `field` (Resource 1, InstrumentationScope 3, Span 9).
pub fn attributes(message: &[u8], field: u32) -> impl Iterator<Item = Attr<'_>> {
    messages(message, field).map(Attr::of)
}

/// The value of `key`; the last one wins where a key stands twice.
pub fn find<'a>(message: &'a [u8], field: u32, key: &[u8]) -> Option<Value<'a>> {
    messages(message, field).filter(|kv| Attr::key_of(kv) == key).last().map(|kv| Attr::of(kv).value)
}

/// The bodies of all length-delimited fields numbered `number`.
pub fn messages(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    Fields::of(message).filter_map(move |field| match field.payload {
        Payload::Len(body) if field.number == number => Some(body),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_alone_is_the_key_that_a_whole_reading_finds() {
        let cases: [&[u8]; 10] = [
            b"",
            b"\x0a\x01a",
            b"\x0a\x01a\x12\x03\x0a\x01x",
            // Value first; the key twice; the key again behind the value; cut short; nonsense.
            b"\x12\x03\x0a\x01x\x0a\x01a",
            b"\x0a\x01a\x0a\x01b\x12\x00",
            b"\x0a\x01a\x12\x00\x0a\x01b",
            b"\x0a\x05a",
            b"\x0a\x01a\x12\x7f",
            // Over-long lengths.
            b"\x0a\x01a\x12\x83\x00\x0a\x01x",
            b"\x0a\x01a\x12\x80\x80\x00",
        ];
        for case in cases {
            assert_eq!(Attr::key_of(case), Attr::of(case).key, "{case:?}");
        }
    }

    const ALL: [Value<'_>; 9] = [
        Value::Empty,
        Value::Str(b""),
        Value::Str(b"production"),
        Value::Bool(false),
        Value::Int(-1),
        Value::Int(300),
        Value::Double(0.5),
        Value::Bytes(&[0xff]),
        Value::Map(&[]),
    ];

    #[test]
    fn every_value_reads_back_and_its_length_is_known() {
        for value in ALL {
            let attr = Attr { key: b"some.key", value };
            let mut message = Vec::new();
            attr.put(9, &mut message);
            assert_eq!(message.len(), attr.put_len(9), "{value:?}");
            assert_eq!(attributes(&message, 9).collect::<Vec<_>>(), [attr]);
            assert_eq!(attributes(&message, 1).count(), 0);
        }
    }

    #[test]
    fn the_last_of_a_repeated_key_member_or_value_wins() {
        let mut message = Vec::new();
        Attr { key: b"k", value: Value::Int(1) }.put(1, &mut message);
        Attr { key: b"k", value: Value::Int(2) }.put(1, &mut message);
        assert_eq!(find(&message, 1, b"k"), Some(Value::Int(2)));
        // int_value 1, then string_value "x"; and a second, empty value message.
        assert_eq!(Attr::of(&[0x12, 5, 0x18, 1, 0x0a, 1, b'x', 0x12, 0]).value, Value::Str(b"x"));
        assert_eq!(Value::of(&[0x0a, 1, b'x', 0x40, 3]), Value::Empty);
    }

    #[test]
    fn arrays_and_maps_are_walked_on_demand() {
        let array = Value::Array(&[0x0a, 2, 0x18, 7, 0x0a, 3, 0x0a, 1, b'x']);
        assert_eq!(array.elements().collect::<Vec<_>>(), [Value::Int(7), Value::Str(b"x")]);
        assert_eq!(array.entries().count(), 0);
        let mut map = Vec::new();
        let entry = Attr { key: b"k", value: Value::Bool(true) };
        entry.put(1, &mut map);
        assert_eq!(Value::Map(&map).entries().collect::<Vec<_>>(), [entry]);
        assert_eq!(Value::Map(&map).elements().count(), 0);
    }

    #[test]
    fn text_is_only_valid_text() {
        assert_eq!(Value::Str("ü".as_bytes()).text(), Some("ü"));
        assert_eq!(Value::Str(b"\xff").text(), None);
        assert_eq!(Value::Int(1).text(), None);
    }
}
