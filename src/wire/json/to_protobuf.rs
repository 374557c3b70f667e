//! One pass over the JSON, writing protobuf as it goes, led by the tables.
//!
//! Recursion follows known fields only: its depth is that of OTLP's own messages, with AnyValue cut at
//! `LEVELS_MAX` levels. Everything else is skipped without recursion.

use super::error::{JsonError, Mistake, Outcome, mistake, quote};
use super::reader::Reader;
use super::schema::{Field, Kind, Message, Names, Rule};
use super::text::Text;
use super::writer::{self, close, open, put_tag};
use super::{LEVELS_MAX, Options, Transcoded, binary, number};
use crate::wire::varint;

/// A repeated key costs going through its message again. So many times the size of the request may be
/// gone through before we call it an attack.
const REWORK_FACTOR_MAX: usize = 8;
/// More than the messages open at one time (about 100) can have left for their lengths.
const OPEN_ROOM_MAX: usize = 512;

pub(super) fn transcode(
    request: &'static Message,
    json: &[u8],
    max: usize,
    options: Options,
) -> Result<Transcoded, JsonError> {
    if let Err(broken) = simdutf8::compat::from_utf8(json) {
        let what = "the text is not valid UTF-8; encode it as UTF-8";
        return Err(mistake(broken.valid_up_to(), what).located(json));
    }
    let mut transcoder = Transcoder {
        reader: Reader::new(json),
        // Protobuf takes about half of what JSON does.
        out: Vec::with_capacity((json.len() / 2).min(max)),
        max,
        lenient: options.lenient,
        rework_left: json.len().saturating_mul(REWORK_FACTOR_MAX),
        leniencies: 0,
        misspelt: None,
    };
    transcoder.request(request).map_err(|mistake| mistake.located(json))?;
    let Transcoder { out: body, leniencies, misspelt, .. } = transcoder;
    Ok(Transcoded { body, leniencies, misspelt })
}

struct Transcoder<'a> {
    reader: Reader<'a>,
    out: Vec<u8>,
    max: usize,
    lenient: bool,
    /// Bytes that repeated keys may still cost.
    rework_left: usize,
    leniencies: u64,
    misspelt: Option<String>,
}

impl<'a> Transcoder<'a> {
    fn request(&mut self, request: &'static Message) -> Outcome<()> {
        if self.reader.peek().is_none() {
            return Err(mistake(self.reader.at(), "the body is empty; a request without data is `{}`"));
        }
        self.message(request, 0)?;
        if self.reader.peek().is_some() {
            return Err(self.reader.unexpected("the end of the request"));
        }
        if self.out.len() <= self.max { Ok(()) } else { Err(self.too_large()) }
    }

    /// The members of one object, as the body of `schema`.
    fn message(&mut self, schema: &'static Message, level: u32) -> Outcome<()> {
        self.reader.take(b'{', "an object")?;
        let start = self.out.len();
        let (mut seen, mut next_slot, mut first) = (0u32, 0, true);
        while self.reader.more(b'}', &mut first)? {
            let name = self.reader.name()?;
            let Some((slot, field)) = self.lookup(schema, &name, next_slot)? else {
                self.reader.skip()?;
                continue;
            };
            next_slot = slot + 1;
            if seen != 0 {
                self.make_way(schema, field, slot, seen, start)?;
            }
            seen |= 1 << slot;
            self.field(field, level).map_err(|m| m.under(field.name))?;
        }
        Ok(())
    }

    #[inline]
    fn lookup(
        &mut self,
        schema: &'static Message,
        name: &Text<'_>,
        from: usize,
    ) -> Outcome<Option<(usize, &'static Field)>> {
        if !name.escaped {
            let hit = schema.slot(name.raw, from);
            if hit.is_some() || !name.raw.contains(&b'_') {
                return Ok(hit);
            }
        }
        let mut plain = Vec::with_capacity(name.raw.len());
        name.decode_into(&mut plain)?;
        let hit = schema.slot(&plain, from);
        if hit.is_some() || !plain.contains(&b'_') {
            return Ok(hit);
        }
        let meant = schema.slot(&camel_case(&plain), from);
        match (meant, self.lenient) {
            (Some(_), true) => self.leniencies += 1,
            (Some(_), false) => drop(self.misspelt.get_or_insert_with(|| quote(&plain))),
            (None, _) => {}
        }
        Ok(meant.filter(|_| self.lenient))
    }

    /// Last wins (conformance J11): what an equal key, or a sibling of the same `oneof`, wrote before
    /// `field` is taken out again.
    #[inline]
    fn make_way(
        &mut self,
        schema: &'static Message,
        field: &'static Field,
        slot: usize,
        seen: u32,
        start: usize,
    ) -> Outcome<()> {
        // A `null` takes back its own key, and does not choose between siblings.
        let chooses = field.rule == Rule::OneOf && self.reader.peek() != Some(b'n');
        if seen & 1 << slot == 0 && !chooses {
            return Ok(());
        }
        let drop = |number: u32| {
            let one_of = |f: &Field| f.number == number && f.rule == Rule::OneOf;
            number == field.number || (chooses && schema.fields.iter().any(one_of))
        };
        let siblings = schema.fields.iter().enumerate();
        let rivals = siblings.filter(|(_, f)| drop(f.number)).fold(0u32, |mask, (at, _)| mask | 1 << at);
        if seen & rivals == 0 {
            return Ok(());
        }
        let cost = writer::remove(start, drop, &mut self.out);
        match self.rework_left.checked_sub(cost) {
            Some(left) => self.rework_left = left,
            None => return Err(mistake(self.reader.at(), "keys are repeated too often; send each key once")),
        }
        Ok(())
    }

    /// One member's value, tag included.
    fn field(&mut self, field: &'static Field, level: u32) -> Outcome<()> {
        if self.reader.peek() == Some(b'n') && self.reader.literal("null") {
            return Ok(());
        }
        if field.rule == Rule::Repeated {
            return self.repeated(field, level);
        }
        let before = self.out.len();
        put_tag(field.number, field.kind.wire_type(), &mut self.out);
        let is_default = self.value(field.kind, level)?;
        if is_default && field.rule == Rule::Plain {
            self.out.truncate(before);
        }
        self.within_max()
    }

    fn repeated(&mut self, field: &'static Field, level: u32) -> Outcome<()> {
        self.reader.take(b'[', "an array")?;
        let before = self.out.len();
        let packed = field.kind.packs().then(|| {
            put_tag(field.number, 2, &mut self.out);
            open(1, &mut self.out)
        });
        let (mut count, mut first) = (0, true);
        while self.reader.more(b']', &mut first)? {
            if packed.is_none() {
                put_tag(field.number, 2, &mut self.out);
            }
            self.element(field.kind, level).map_err(|m| m.under_index(count))?;
            count += 1;
        }
        match packed {
            Some(_) if count == 0 => self.out.truncate(before),
            Some(mark) => close(mark, &mut self.out),
            None => {}
        }
        self.within_max()
    }

    /// One element of an array; `null` is the default, as it is everywhere (conformance J08).
    fn element(&mut self, kind: Kind, level: u32) -> Outcome<()> {
        if self.reader.peek() == Some(b'n') && self.reader.literal("null") {
            let width = match kind.wire_type() {
                1 => 8,
                5 => 4,
                _ => 1,
            };
            self.out.resize(self.out.len() + width, 0);
        } else {
            self.value(kind, level)?;
        }
        self.within_max()
    }

    /// While messages are open, the room left for their lengths may be more than they turn out to need.
    #[inline]
    fn within_max(&self) -> Outcome<()> {
        if self.out.len() <= self.max.saturating_add(OPEN_ROOM_MAX) {
            return Ok(());
        }
        Err(self.too_large())
    }

    #[cold]
    fn too_large(&self) -> Box<Mistake> {
        mistake(self.reader.at(), format!("the request is larger than {} bytes as protobuf", self.max))
    }

    /// One value without its tag; whether it is the default of its kind.
    #[inline]
    fn value(&mut self, kind: Kind, level: u32) -> Outcome<bool> {
        match kind {
            Kind::Message(schema) => self.nested(schema, level).map(|()| false),
            Kind::Str => self.text(|text, out| text.decode_into(out)),
            Kind::Id => self.text(put_id),
            Kind::Bytes => self.text(put_bytes),
            Kind::Bool => self.bool(),
            Kind::Double => self.double(),
            Kind::Enum(names) => self.enum_value(names),
            _ => self.integer(kind),
        }
    }

    fn nested(&mut self, schema: &'static Message, level: u32) -> Outcome<()> {
        let mark = open(schema.prefix, &mut self.out);
        let level = level + u32::from(schema.level);
        if level > LEVELS_MAX {
            self.reader.skip()?;
        } else {
            self.message(schema, level)?;
        }
        close(mark, &mut self.out);
        Ok(())
    }

    /// A length-prefixed value made of a JSON string.
    #[inline]
    fn text(&mut self, put: impl Fn(Text<'_>, &mut Vec<u8>) -> Outcome<()>) -> Outcome<bool> {
        let text = self.reader.string()?;
        let mark = open(varint::len(text.raw.len() as u64), &mut self.out);
        let before = self.out.len();
        put(text, &mut self.out)?;
        let is_default = self.out.len() == before;
        close(mark, &mut self.out);
        Ok(is_default)
    }

    fn bool(&mut self) -> Outcome<bool> {
        let value = self.reader.literal("true");
        if !value && !self.reader.literal("false") {
            return Err(self.reader.unexpected("true or false"));
        }
        self.out.push(u8::from(value));
        Ok(!value)
    }

    fn double(&mut self) -> Outcome<bool> {
        self.reader.peek();
        let at = self.reader.at();
        let (token, read) = if self.reader.peek() == Some(b'"') {
            let text = self.reader.string()?;
            (text.raw, number::double_text(&plain(text)?))
        } else {
            let token = self.reader.number()?;
            (token, number::double(token))
        };
        let value = read.map_err(|what| unfit(at, what, token))?;
        self.out.extend_from_slice(&value.to_le_bytes());
        // Minus zero has a bit set, and is not the default.
        Ok(value.to_bits() == 0)
    }

    fn integer(&mut self, kind: Kind) -> Outcome<bool> {
        let (min, max) = match kind {
            Kind::Int32 | Kind::Sint32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
            Kind::Uint32 | Kind::Fixed32 => (0, i128::from(u32::MAX)),
            Kind::Uint64 | Kind::Fixed64 => (0, i128::from(u64::MAX)),
            _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
        };
        let at = self.reader.at();
        let value = if self.reader.peek() == Some(b'"') {
            let text = self.reader.string()?;
            number::integer(&plain(text)?, min, max).map_err(|what| unfit(at, what, text.raw))?
        } else {
            let token = self.reader.number()?;
            number::integer(token, min, max).map_err(|what| unfit(at, what, token))?
        };
        match kind {
            Kind::Fixed32 => self.out.extend_from_slice(&(value as u32).to_le_bytes()),
            Kind::Fixed64 | Kind::Sfixed64 => self.out.extend_from_slice(&(value as u64).to_le_bytes()),
            Kind::Sint32 => {
                let value = value as i32;
                varint::put(u64::from((value << 1 ^ value >> 31) as u32), &mut self.out);
            }
            // Negative int32 are sign-extended to ten bytes, as every protobuf library writes them.
            _ => varint::put(value as u64, &mut self.out),
        }
        Ok(value == 0)
    }

    fn enum_value(&mut self, names: &'static Names) -> Outcome<bool> {
        if self.reader.peek() != Some(b'"') {
            return self.integer(Kind::Int32);
        }
        let at = self.reader.at();
        let text = self.reader.string()?;
        let name = plain(text)?;
        let known = names.number(&name);
        match known {
            Some(value) if self.lenient => {
                self.leniencies += 1;
                varint::put(value as u64, &mut self.out);
                Ok(value == 0)
            }
            _ => Err(enum_mistake(at, text.raw, known)),
        }
    }
}

#[cold]
fn enum_mistake(at: usize, name: &[u8], known: Option<i32>) -> Box<Mistake> {
    let hint = known.map_or(String::new(), |value| format!(", write {value}"));
    mistake(at, format!("{} is text; OTLP/JSON enums are integers{hint}", quote(name)))
}

#[cold]
fn unfit(at: usize, what: &str, token: &[u8]) -> Box<Mistake> {
    mistake(at, format!("{what}, found {}", quote(token)))
}

fn put_id(text: Text<'_>, out: &mut Vec<u8>) -> Outcome<()> {
    let put = binary::put_hex_id(&plain(text)?, out);
    put.map_err(|what| mistake(text.at, format!("{what}, found {}", quote(text.raw))))
}

fn put_bytes(text: Text<'_>, out: &mut Vec<u8>) -> Outcome<()> {
    if binary::put_base64_decoded(&plain(text)?, out) {
        return Ok(());
    }
    Err(mistake(text.at, format!("bytes must be base64, found {}", quote(text.raw))))
}

/// The text without escapes; only an escaped one is copied.
#[inline]
fn plain(text: Text<'_>) -> Outcome<std::borrow::Cow<'_, [u8]>> {
    if !text.escaped {
        return Ok(text.raw.into());
    }
    let mut decoded = Vec::with_capacity(text.raw.len());
    text.decode_into(&mut decoded)?;
    Ok(decoded.into())
}

/// `start_time_unix_nano` as `startTimeUnixNano`.
fn camel_case(name: &[u8]) -> Vec<u8> {
    let mut camel = Vec::with_capacity(name.len());
    let mut raise = false;
    for &byte in name {
        if byte == b'_' {
            raise = !camel.is_empty();
            continue;
        }
        camel.push(if raise { byte.to_ascii_uppercase() } else { byte });
        raise = false;
    }
    camel
}
