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
    fn what_is_cut_off_is_malformed() {
        for bytes in [&[8u8][..], &[0x12, 5, 1], &[0x19, 1], &[0xff; 12], &[0x0b]] {
            assert_eq!(fields(bytes).last(), Some(Err(Malformed)));
        }
    }
}
