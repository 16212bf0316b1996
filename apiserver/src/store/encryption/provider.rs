//! Providers: how the values of a resource may be stored, one after the other.

use super::Opened;
use super::cipher::Cipher;
use bytes::Bytes;

/// What every encrypted value begins with.
const SEALED: &[u8] = b"k8s:enc:";

/// Whether stored bytes are encrypted, whoever can read them.
pub(super) fn is_sealed(stored: &[u8]) -> bool {
    stored.starts_with(SEALED)
}

/// One way to store values.
pub(super) enum Provider {
    /// As they are.
    Identity,
    /// Encrypted, with the name of the key in front.
    Keyed {
        /// What its values begin with, before the key's name.
        prefix: &'static str,
        /// What it is called when none of its keys fits.
        family: &'static str,
        /// Names and ciphers; the first one writes.
        keys: Vec<(String, Box<dyn Cipher>)>,
    },
}

impl Provider {
    /// As metrics name it.
    pub(super) fn prefix(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Keyed { prefix, .. } => prefix,
        }
    }

    /// The bytes to store in `context`.
    pub(super) fn seal(&self, plain: Vec<u8>, context: &[u8]) -> Result<Vec<u8>, String> {
        let Self::Keyed { prefix, keys, .. } = self else {
            return Ok(plain);
        };
        let (name, cipher) = &keys[0];
        let sealed = cipher.seal(&plain, context)?;
        Ok([prefix.as_bytes(), name.as_bytes(), b":", &sealed].concat())
    }
}

/// Reads what is stored in `context` with the first provider and key that
/// can; tells which provider that was.
pub(super) fn open(
    providers: &[Provider],
    stored: Bytes,
    context: &[u8],
) -> (Result<Opened, String>, &'static str) {
    let mut reasons = Vec::new();
    for (place, provider) in providers.iter().enumerate() {
        let Provider::Keyed {
            prefix,
            family,
            keys,
        } = provider
        else {
            if is_sealed(&stored) {
                continue;
            }
            let opened = Opened {
                value: stored,
                stale: place > 0,
            };
            return (Ok(opened), provider.prefix());
        };
        let Some(rest) = stored.strip_prefix(prefix.as_bytes()) else {
            continue;
        };
        let mut fits = false;
        for (number, (name, cipher)) in keys.iter().enumerate() {
            let sealed = rest
                .strip_prefix(name.as_bytes())
                .and_then(|rest| rest.strip_prefix(b":"));
            let Some(sealed) = sealed else {
                continue;
            };
            fits = true;
            match cipher.open(sealed, context).and_then(object) {
                Ok(value) => {
                    let stale = place > 0 || number > 0;
                    return (Ok(Opened { value, stale }), prefix);
                }
                Err(reason) => reasons.push(reason),
            }
        }
        if !fits {
            reasons.push(format!(
                "no matching key was found for the provided {family} transformer"
            ));
        }
    }
    let reason = match reasons.len() {
        0 => "no matching prefix found".to_owned(),
        1 => reasons.remove(0),
        _ => format!("[{}]", reasons.join(", ")),
    };
    (Err(reason), "unknown")
}

/// A cipher that proves nothing gives rubbish when the key is another.
fn object(plain: Vec<u8>) -> Result<Bytes, String> {
    match plain.first() {
        Some(b'{') => Ok(plain.into()),
        _ => Err("the decrypted data is no object; the key may be another one".into()),
    }
}
