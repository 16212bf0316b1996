//! The hashes that names and labels of template versions carry.

/// What hashes are written with: no vowels, so that they spell no words
/// (`rand.SafeEncodeString` in Kubernetes' apimachinery).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A hash of bytes, fit for names and labels.
pub fn of<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    let digits = fnv(bytes).to_string();
    let letter = |digit: u8| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()]);
    digits.bytes().map(letter).collect()
}

/// FNV-1a with 32 bits.
fn fnv<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    bytes.fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_fnv_without_vowels() {
        assert_eq!(fnv(b"foobar".iter()), 0xbf9c_f968);
        // 3214735720 in decimal.
        assert_eq!(of(b"foobar".iter()), "7658c79c64");
    }
}
