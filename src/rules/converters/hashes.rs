//! Digests. The cryptographic ones are the TLS library's, which is built in anyway; MD5 it has not.

use ring::digest;
use twox_hash::{XxHash3_64, XxHash3_128};

use super::{TEXT, pure};
use crate::rules::functions::{Converter, Given, Parameter, must};
use crate::rules::render::hex;
use crate::rules::trouble::Trouble;
use crate::rules::types::Types;
use crate::rules::value::Value;

const ONE: &[Parameter] = &[must("value|target|input", TEXT)];

pub const CONVERTERS: &[Converter] = &[
    pure("FNV", ONE, Types::INT, |given| Ok(Value::Int(fnv(given.text(0)?.as_bytes()).cast_signed()))),
    pure("MD5", ONE, Types::STR, |given| hashed(given, |bytes| hex(&md5::compute(bytes).0))),
    pure("SHA1", ONE, Types::STR, |given| {
        hashed(given, |bytes| hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref()))
    }),
    pure("SHA256", ONE, Types::STR, |given| {
        hashed(given, |bytes| hex(digest::digest(&digest::SHA256, bytes).as_ref()))
    }),
    pure("SHA512", ONE, Types::STR, |given| {
        hashed(given, |bytes| hex(digest::digest(&digest::SHA512, bytes).as_ref()))
    }),
    pure("XXH3", ONE, Types::STR, |given| {
        hashed(given, |bytes| format!("{:016x}", XxHash3_64::oneshot(bytes)))
    }),
    pure("XXH128", ONE, Types::STR, |given| {
        hashed(given, |bytes| format!("{:032x}", XxHash3_128::oneshot(bytes)))
    }),
    pure("Murmur3Hash", ONE, Types::STR, |given| hashed(given, |bytes| hex(&murmur_32(bytes).to_le_bytes()))),
    pure("Murmur3Hash128", ONE, Types::STR, |given| {
        hashed(given, |bytes| murmur_128(bytes).map(|half| hex(&half.to_le_bytes())).concat())
    }),
];

fn hashed<'a>(given: &mut Given<'_, 'a>, hash: fn(&[u8]) -> String) -> Result<Value<'a>, Trouble> {
    Ok(Value::text(hash(given.text(0)?.as_bytes())))
}

/// FNV-1a, 64 bits.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// MurmurHash3_x86_32 with seed 0 (Austin Appleby, public domain).
fn murmur_32(bytes: &[u8]) -> u32 {
    let scramble = |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = blocks.iter().fold(0_u32, |hash, block| {
        let hash = hash ^ scramble(u32::from_le_bytes(*block));
        hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64)
    });
    hash ^= scramble(little(tail) as u32);
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

/// MurmurHash3_x64_128 with seed 0.
fn murmur_128(bytes: &[u8]) -> [u64; 2] {
    const A: u64 = 0x87c3_7b91_1142_53d5;
    const B: u64 = 0x4cf5_ad43_2745_937f;
    let first = |block: u64| block.wrapping_mul(A).rotate_left(31).wrapping_mul(B);
    let second = |block: u64| block.wrapping_mul(B).rotate_left(33).wrapping_mul(A);
    let (blocks, tail) = bytes.as_chunks::<16>();
    let (mut h1, mut h2) = (0_u64, 0_u64);
    for block in blocks {
        let (low, high) = block.split_at(8);
        h1 = (h1 ^ first(little(low)))
            .rotate_left(27)
            .wrapping_add(h2)
            .wrapping_mul(5)
            .wrapping_add(0x52dc_e729);
        h2 = (h2 ^ second(little(high)))
            .rotate_left(31)
            .wrapping_add(h1)
            .wrapping_mul(5)
            .wrapping_add(0x3849_5ab5);
    }
    let (low, high) = tail.split_at_checked(8).unwrap_or((tail, &[]));
    h2 ^= second(little(high));
    h1 ^= first(little(low));
    let mix = |hash: u64| {
        let hash = (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        let hash = (hash ^ hash >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ hash >> 33
    };
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2) = (mix(h1), mix(h2));
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    [h1, h2]
}

/// Up to eight bytes, the lowest first.
fn little(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
}
