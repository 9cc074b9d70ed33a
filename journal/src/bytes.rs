//! Little-endian numbers in byte slices, and the few conversions between sizes.

/// Reads a `u16` at an offset that the caller has checked.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes were sliced"))
}

/// Reads a `u32` at an offset that the caller has checked.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were sliced"))
}

/// Reads a `u64` at an offset that the caller has checked.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were sliced"))
}

/// Reads a fixed array at an offset that the caller has checked.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("N bytes were sliced")
}

/// Writes bytes at an offset.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A length as a file offset.
pub(crate) fn wide(length: usize) -> u64 {
    u64::try_from(length).expect("usize has at most 64 bits")
}

/// A file offset as an index into memory.
pub(crate) fn narrow(offset: u64) -> usize {
    usize::try_from(offset).expect("a segment fits in memory, its size is checked when it is opened")
}

/// A length that is known to be below 4 GiB.
pub(crate) fn short(length: usize) -> u32 {
    u32::try_from(length).expect("a segment has less than 4 GiB, which the settings check")
}

/// What zeroed bytes are compared with.
static ZEROS: [u8; 4096] = [0; 4096];

/// Whether all bytes are zero: by comparing memory, which is fast however this room is compiled.
pub(crate) fn all_zero(bytes: &[u8]) -> bool {
    bytes
        .chunks(ZEROS.len())
        .all(|chunk| *chunk == ZEROS[..chunk.len()])
}

/// Length up to the last byte that is not zero.
pub(crate) fn used_length(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    // In strides first: a segment's end is mostly zeros.
    while end >= 512 && all_zero(&bytes[end - 512..end]) {
        end -= 512;
    }
    bytes[..end]
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}
