//! When certificates are valid.

use rustls_pki_types::CertificateDer;
use std::time::{SystemTime, UNIX_EPOCH};
use x509_parser::parse_x509_certificate;

/// The time in which every certificate of a chain is valid, in seconds since
/// 1970. A handshake checks it once; who lives longer than a handshake must
/// look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    from: i64,
    to: i64,
}

impl Validity {
    /// Of a chain; none if a certificate of it can't be read.
    pub fn of(chain: &[CertificateDer]) -> Option<Self> {
        let mut all = Self {
            from: i64::MIN,
            to: i64::MAX,
        };
        for certificate in chain {
            let (_, parsed) = parse_x509_certificate(certificate).ok()?;
            let validity = parsed.validity();
            all.from = all.from.max(validity.not_before.timestamp());
            all.to = all.to.min(validity.not_after.timestamp());
        }
        Some(all)
    }

    /// The first second, since 1970.
    pub fn begins(&self) -> i64 {
        self.from
    }

    /// The last second, since 1970.
    pub fn ends(&self) -> i64 {
        self.to
    }

    /// Whether it is now.
    pub fn is_now(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.is_ok_and(|now| self.contains(now.as_secs() as i64))
    }

    fn contains(&self, second: i64) -> bool {
        (self.from..=self.to).contains(&second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn a_chain_is_valid_while_all_of_it_is() {
        let certificate = |from: i32, to: i32| {
            let mut params = CertificateParams::new(vec!["a".to_owned()]).unwrap();
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
            let key = KeyPair::generate().unwrap();
            params.self_signed(&key).unwrap().der().clone()
        };
        let at = |year| date_time_ymd(year, 6, 1).unix_timestamp();
        let validity = Validity::of(&[certificate(2020, 2030), certificate(2022, 2040)]).unwrap();
        assert!(validity.contains(at(2022)) && validity.contains(at(2029)));
        assert!(!validity.contains(at(2021)) && !validity.contains(at(2030)));
        assert!(Validity::of(&[certificate(2020, 2100)]).unwrap().is_now());
        assert!(!Validity::of(&[certificate(2020, 2021)]).unwrap().is_now());
        assert_eq!(Validity::of(&[vec![1, 2].into()]), None);
    }
}
