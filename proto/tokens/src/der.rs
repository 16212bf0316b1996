//! The little DER that keys need.

/// Tag of a SEQUENCE.
pub const SEQUENCE: u8 = 0x30;
/// Tag of an INTEGER.
pub const INTEGER: u8 = 0x02;
/// Tag of a BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// Tag of an OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;

/// `AlgorithmIdentifier` of P-256 keys.
pub const P256: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// `AlgorithmIdentifier` of RSA keys.
pub const RSA: &[u8] = &[
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];

/// One element: tag, length, contents.
pub fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut out = vec![tag];
    match length {
        0..=0x7f => out.push(length as u8),
        0x80..=0xff => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(contents);
    out
}

/// A `SubjectPublicKeyInfo` of an algorithm and a key.
pub fn public_key_info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = element(BIT_STRING, &[&[0], key].concat());
    element(SEQUENCE, &[algorithm, &bits].concat())
}

/// Reads the first element: tag, contents, what follows it.
pub fn read(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (first as usize, rest),
        0x81 => (*rest.first()? as usize, &rest[1..]),
        0x82 => (
            usize::from(*rest.first()?) << 8 | usize::from(*rest.get(1)?),
            &rest[2..],
        ),
        _ => return None,
    };
    Some((tag, rest.get(..length)?, &rest[length..]))
}

/// Reads the first element, which must have this tag.
pub fn expect(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    read(input).and_then(|(found, contents, rest)| (found == tag).then_some((contents, rest)))
}

/// An INTEGER's magnitude, without leading zeros.
pub fn unsigned(contents: &[u8]) -> &[u8] {
    let zeros = contents.iter().take_while(|b| **b == 0).count();
    &contents[zeros..]
}
