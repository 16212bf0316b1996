//! The wire format: numbered fields, one after the other.

/// The bytes are no message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The content of a field.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Number(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in order.
pub(super) fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Field<'_>), Malformed>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next(&mut rest);
        if field.is_err() {
            rest = &[];
        }
        Some(field)
    })
}

fn next<'a>(rest: &mut &'a [u8]) -> Result<(u64, Field<'a>), Malformed> {
    let key = varint(rest)?;
    let field = match key & 7 {
        0 => Field::Number(varint(rest)?),
        1 => Field::Fixed64(u64::from_le_bytes(
            take(rest, 8)?.try_into().map_err(|_| Malformed)?,
        )),
        2 => {
            let length = usize::try_from(varint(rest)?).map_err(|_| Malformed)?;
            Field::Bytes(take(rest, length)?)
        }
        5 => {
            let bytes = take(rest, 4)?.try_into().map_err(|_| Malformed)?;
            Field::Number(u64::from(u32::from_le_bytes(bytes)))
        }
        _ => return Err(Malformed),
    };
    Ok((key >> 3, field))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, after) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    Ok(taken)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed)
}

/// The wire type of texts, bytes and messages.
pub(super) const LENGTH_DELIMITED: u8 = 2;

/// Writes a number, seven bits in each byte.
pub(super) fn put_varint(out: &mut Vec<u8>, number: u64) {
    prost::encoding::encode_varint(number, out);
}

/// Writes a field's number and wire type.
pub(super) fn put_key(out: &mut Vec<u8>, number: u32, wire_type: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire_type));
}

/// Writes a field that is a number.
pub(super) fn put_number(out: &mut Vec<u8>, number: u32, value: u64) {
    put_key(out, number, 0);
    put_varint(out, value);
}

/// Writes a field that is a fraction.
pub(super) fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_key(out, number, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Writes a field that is bytes.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_key(out, number, LENGTH_DELIMITED);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a field that is a message.
pub(super) fn nested<T>(
    out: &mut Vec<u8>,
    number: u32,
    write: impl FnOnce(&mut Vec<u8>) -> T,
) -> T {
    put_key(out, number, LENGTH_DELIMITED);
    // Room for the length of most; of others it is moved.
    let start = out.len();
    out.push(0);
    let written = write(out);
    let length = out.len() - start - 1;
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out[start] = short,
        _ => {
            let mut prefix = Vec::with_capacity(5);
            put_varint(&mut prefix, length as u64);
            out.splice(start..=start, prefix);
        }
    }
    written
}

/// Text, whatever is in it.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_all_kinds_of_fields() {
        let bytes = [
            8, 0x96, 1, 0x12, 2, b'h', b'i', 0x19, 1, 0, 0, 0, 0, 0, 0, 0,
        ];
        let all: Vec<_> = fields(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(
            all,
            [
                (1, Field::Number(150)),
                (2, Field::Bytes(b"hi")),
                (3, Field::Fixed64(1))
            ]
        );
    }

    #[test]
    fn writes_what_it_reads() {
        for length in [0, 127, 128, 20_000] {
            let mut out = Vec::new();
            nested(&mut out, 3, |out| put_bytes(out, 1, &vec![7; length]));
            put_number(&mut out, 16, u64::MAX);
            put_double(&mut out, 2, 0.5);
            let mut inner = Vec::new();
            put_bytes(&mut inner, 1, &vec![7; length]);
            let all: Vec<_> = fields(&out).collect::<Result<_, _>>().unwrap();
            let half = Field::Fixed64(0.5f64.to_bits());
            let expected = [
                (3, Field::Bytes(&inner[..])),
                (16, Field::Number(u64::MAX)),
                (2, half),
            ];
            assert_eq!(all, expected);
        }
    }

    #[test]
    fn what_is_cut_off_is_malformed() {
        for bytes in [&[8u8][..], &[0x12, 5, 1], &[0x19, 1], &[0xff; 12], &[0x0b]] {
            assert_eq!(fields(bytes).last(), Some(Err(Malformed)));
        }
    }
}
