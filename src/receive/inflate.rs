//! Undoes a content coding under a cap: the cap and the budget are asked before memory is taken.
//!
//! gzip bodies may have several members (RFC 1952 §2.2) and zstd bodies several frames; bytes after
//! the end that are neither are an error, never ignored. `deflate` is the zlib format (RFC 9110
//! §8.4.1.2), but some senders leave its wrapper out, so both are read.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};
use zstd::zstd_safe::DParameter;

use super::body::pay_for;
use crate::queue::Reservation;

/// gzip members in one body. Each costs some 40 KiB of state, so twenty-byte members are an attack.
const MEMBERS_MAX: usize = 16 * 1024;
/// Largest zstd window: 32 MiB, what the strongest common encoders use. Its memory is touched only
/// as far as data comes out.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;
/// How much larger than its input a body is first taken to be.
const GUESS: usize = 8;

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
    Deflate,
    Zstd,
}

impl Coding {
    /// Reads a `content-encoding` or `grpc-encoding` value. `None`: we can not undo it.
    pub fn of(name: &[u8]) -> Option<Self> {
        let known: [(&[u8], Coding); 6] = [
            (b"gzip", Coding::Gzip),
            (b"x-gzip", Coding::Gzip),
            (b"zstd", Coding::Zstd),
            (b"deflate", Coding::Deflate),
            (b"identity", Coding::Identity),
            (b"", Coding::Identity),
        ];
        let name = name.trim_ascii();
        known.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, coding)| coding)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Zstd => "zstd",
        }
    }
}

/// Why a body can not be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    #[error("larger than the cap")]
    TooLarge,
    #[error("the byte budget is full")]
    NoBudget,
    #[error("{0}")]
    Corrupt(&'static str),
}

const CUT_SHORT: InflateError = InflateError::Corrupt("it is cut short");
const NOT_VALID: InflateError = InflateError::Corrupt("it is not valid, or its checksum is wrong");
const TRAILING: InflateError = InflateError::Corrupt("other bytes follow its end");

/// Inflates `input` to at most `max` bytes; `paid` pays for what comes out, on top of what it holds.
///
/// # Errors
/// [`InflateError`]; `paid` may have grown.
pub fn inflate(
    coding: Coding,
    input: &[u8],
    max: usize,
    paid: &mut Reservation,
) -> Result<Vec<u8>, InflateError> {
    let mut output = Output { bytes: Vec::new(), max, base: paid.bytes(), paid };
    output.grow(guess(coding, input).min(max))?;
    match coding {
        Coding::Identity => return Err(InflateError::Corrupt("it is not coded")),
        Coding::Gzip => gzip(input, &mut output)?,
        Coding::Deflate => deflate(input, &mut output)?,
        Coding::Zstd => unzstd(input, &mut output)?,
    }
    Ok(output.bytes)
}

/// A first size for the output. gzip ends with it (of the last member, modulo 2^32), which is
/// believed only as far as ordinary telemetry compresses.
fn guess(coding: Coding, input: &[u8]) -> usize {
    let usual = input.len().saturating_mul(GUESS).max(1024);
    match (coding, input.last_chunk::<4>()) {
        (Coding::Gzip, Some(size)) => (u32::from_le_bytes(*size) as usize).clamp(64, usual.saturating_mul(4)),
        _ => usual,
    }
}

/// Where inflated bytes go: room is made step by step, paid for first.
struct Output<'a> {
    bytes: Vec<u8>,
    max: usize,
    base: usize,
    paid: &'a mut Reservation,
}

impl Output<'_> {
    /// Makes room for more: double, up to the cap.
    fn more(&mut self) -> Result<(), InflateError> {
        if self.bytes.len() >= self.max {
            return Err(InflateError::TooLarge);
        }
        self.grow(self.bytes.len().saturating_mul(2).clamp(1024, self.max.max(1024)))
    }

    fn grow(&mut self, capacity: usize) -> Result<(), InflateError> {
        // One byte beyond the cap, so that an end exactly at it is told from one beyond it.
        let capacity = capacity.min(self.max) + 1;
        if !pay_for(self.paid, self.base + capacity) {
            return Err(InflateError::NoBudget);
        }
        self.bytes.reserve_exact(capacity.saturating_sub(self.bytes.len()));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes.len() == self.bytes.capacity()
    }

    fn is_over(&self) -> bool {
        self.bytes.len() > self.max
    }
}

fn gzip(mut input: &[u8], output: &mut Output<'_>) -> Result<(), InflateError> {
    for member in 0..MEMBERS_MAX {
        if member > 0 && !input.starts_with(&[0x1f, 0x8b]) {
            return Err(TRAILING);
        }
        input = stream(Decompress::new_gzip(15), input, output)?;
        if input.is_empty() {
            return Ok(());
        }
    }
    Err(InflateError::Corrupt("it has too many members"))
}

fn deflate(input: &[u8], output: &mut Output<'_>) -> Result<(), InflateError> {
    // RFC 1950 §2.2: method 8, and the first two bytes are a multiple of 31.
    let wrapped = matches!(input, [a, b, ..] if a & 0x0f == 8 && (u32::from(*a) * 256 + u32::from(*b)).is_multiple_of(31));
    match stream(Decompress::new(wrapped), input, output)? {
        [] => Ok(()),
        _ => Err(TRAILING),
    }
}

/// Inflates one deflate stream and returns what follows it.
fn stream<'i>(
    mut state: Decompress,
    mut input: &'i [u8],
    output: &mut Output<'_>,
) -> Result<&'i [u8], InflateError> {
    loop {
        if output.is_full() {
            output.more()?;
        }
        let (came, went) = (state.total_in(), state.total_out());
        let status =
            state.decompress_vec(input, &mut output.bytes, FlushDecompress::None).map_err(|_| NOT_VALID)?;
        let consumed = usize::try_from(state.total_in() - came).unwrap_or(usize::MAX);
        input = input.get(consumed..).unwrap_or_default();
        if output.is_over() {
            return Err(InflateError::TooLarge);
        }
        match status {
            Status::StreamEnd => return Ok(input),
            _ if consumed == 0 && state.total_out() == went && !output.is_full() => return Err(CUT_SHORT),
            Status::Ok | Status::BufError => {}
        }
    }
}

fn unzstd(input: &[u8], output: &mut Output<'_>) -> Result<(), InflateError> {
    let mut decoder = Decoder::new().map_err(|_| NOT_VALID)?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|_| NOT_VALID)?;
    let mut source = InBuffer::around(input);
    // Whether the last frame seen has ended. A body of no frame at all has not.
    let mut ended = false;
    loop {
        if output.is_full() {
            output.more()?;
        }
        if ended && source.pos == input.len() {
            return Ok(());
        }
        let (came, went) = (source.pos, output.bytes.len());
        let mut sink = OutBuffer::around_pos(&mut output.bytes, went);
        let hint = decoder.run(&mut source, &mut sink).map_err(|_| NOT_VALID)?;
        if output.is_over() {
            return Err(InflateError::TooLarge);
        }
        ended = hint == 0;
        if !ended && source.pos == came && output.bytes.len() == went && !output.is_full() {
            return Err(CUT_SHORT);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::queue::Budget;
    use crate::receive::tests::fixture::{gzip as gzipped, raw_deflate, zlib};

    const MAX: usize = 4096;

    fn coded(coding: Coding, plain: &[u8]) -> Vec<u8> {
        match coding {
            Coding::Identity => plain.to_vec(),
            Coding::Gzip => gzipped(plain),
            Coding::Deflate => zlib(plain),
            Coding::Zstd => zstd::encode_all(plain, 1).unwrap(),
        }
    }

    /// Inflates under [`MAX`], holding to what the budget was told.
    fn read(coding: Coding, input: &[u8]) -> Result<Vec<u8>, InflateError> {
        let budget = Budget::new(1 << 20);
        let mut paid = budget.try_reserve(input.len()).unwrap();
        let outcome = inflate(coding, input, MAX, &mut paid);
        if let Ok(bytes) = &outcome {
            assert!(bytes.len() <= MAX);
            assert!(paid.bytes() >= input.len() + bytes.capacity().min(MAX), "all of it is paid for");
        }
        outcome
    }

    const CODINGS: [Coding; 3] = [Coding::Gzip, Coding::Deflate, Coding::Zstd];

    #[test]
    fn the_cap_is_a_byte_exact() {
        for coding in CODINGS {
            assert_eq!(read(coding, &coded(coding, &[7; MAX])), Ok(vec![7; MAX]), "{coding:?}");
            assert_eq!(
                read(coding, &coded(coding, &[7; MAX + 1])),
                Err(InflateError::TooLarge),
                "{coding:?}"
            );
        }
        assert_eq!(read(Coding::Deflate, &raw_deflate(b"no wrapper")), Ok(b"no wrapper".to_vec()));
    }

    #[test]
    fn a_full_budget_is_not_the_bodys_fault() {
        for coding in CODINGS {
            let budget = Budget::new(2000);
            let mut paid = budget.try_reserve(100).unwrap();
            let outcome = inflate(coding, &coded(coding, &[7; MAX]), MAX, &mut paid);
            assert_eq!(outcome, Err(InflateError::NoBudget), "{coding:?}");
        }
    }

    #[test]
    fn twenty_byte_members_without_end_are_refused() {
        let empty = gzipped(b"");
        assert_eq!(read(Coding::Gzip, &empty.repeat(100)), Ok(vec![]));
        let many = Budget::new(1 << 30);
        let mut paid = many.reserve(0);
        let outcome = inflate(Coding::Gzip, &empty.repeat(MEMBERS_MAX + 1), MAX, &mut paid);
        assert_eq!(outcome, Err(InflateError::Corrupt("it has too many members")));
    }

    proptest! {
        #[test]
        fn what_was_coded_comes_back_and_a_changed_end_never_passes_for_it(
            plain in prop::collection::vec(any::<u8>(), 0..MAX),
            cut in 1usize..40,
            tail in prop::collection::vec(any::<u8>(), 1..20),
        ) {
            for coding in CODINGS {
                let whole = coded(coding, &plain);
                prop_assert_eq!(read(coding, &whole), Ok(plain.clone()));
                let short = &whole[..whole.len().saturating_sub(cut)];
                prop_assert!(matches!(read(coding, short), Err(InflateError::Corrupt(_))), "{:?} cut", coding);
                let long = [whole.as_slice(), &tail].concat();
                prop_assert!(read(coding, &long).as_ref().map_or(true, |b| *b == plain && coding == Coding::Zstd));
            }
        }

        #[test]
        fn no_bytes_are_too_strange(input in prop::collection::vec(any::<u8>(), 0..200)) {
            for coding in CODINGS {
                let framed = [coded(coding, b"begin"), input.clone()].concat();
                let _ = (read(coding, &input), read(coding, &framed));
            }
        }
    }
}
