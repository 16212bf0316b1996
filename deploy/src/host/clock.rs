//! Whether a host's clock agrees with the cluster's: certificates and tokens go by it.

use std::net::SocketAddr;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

use super::discovery::Found;
use super::preflight::Finding;
use crate::http;

/// Less is no matter: the header of an answer has no parts of a second, and the answer takes a
/// while.
const AGREES: i64 = 3;
/// A certificate of the cluster is good from five minutes before it was made; a host that is
/// further behind takes it for one of the future.
const TOO_FAR: i64 = 240;

/// Compares this host's clock with that of the apiserver at an address. Where that doesn't
/// say its time nothing is found.
pub fn finding(server: SocketAddr, found: &Found) -> Option<Finding> {
    let answer = http::get_without_certificate(server, "/version", Some(&found.ca), None).ok()?;
    let theirs = rfc2822::parse(answer.header("date")?).ok()?.timestamp();
    judge(Timestamp::now().duration_since(theirs))
}

fn judge(ahead: SignedDuration) -> Option<Finding> {
    let seconds = ahead.as_secs();
    let side = match seconds {
        0.. => "ahead of",
        _ => "behind",
    };
    let apart = seconds.abs();
    (apart > AGREES).then(|| Finding {
        is_warning: apart < TOO_FAR,
        what: format!("this host's clock is {apart} s {side} the cluster's"),
        way_out: "have it kept right on all hosts:  timedatectl; apt-get install systemd-timesyncd"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_told_of() {
        let found = |seconds| judge(SignedDuration::from_secs(seconds));
        assert_eq!(found(0), None);
        assert_eq!(found(-3), None);
        let behind = found(-90).unwrap();
        assert!(behind.is_warning);
        assert_eq!(
            behind.what,
            "this host's clock is 90 s behind the cluster's"
        );
        let ahead = found(3600).unwrap();
        assert!(!ahead.is_warning);
        assert!(ahead.what.contains("3600 s ahead of"));
    }

    #[test]
    fn the_time_of_an_answer_is_understood() {
        // As RFC 9110 has it.
        let time = rfc2822::parse("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(time.timestamp().as_second(), 784_111_777);
    }
}
