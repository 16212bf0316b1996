//! Names of sysctls: how they are written, and which of the kernel's
//! namespaces they belong to. Apiserver and kubelet agree on it here.

use std::borrow::Cow;

/// Longest name, in bytes.
pub const MAX_LENGTH: usize = 253;
/// What Kubernetes says a name must match.
pub const REGEX: &str = r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// A namespace of the kernel in which a sysctl has a value of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// Shared memory, semaphores, message queues.
    Ipc,
    /// The network.
    Net,
}

impl Namespace {
    /// As messages name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::Net => "net",
        }
    }
}

/// Whether the text is a sysctl's name: segments of lower-case letters,
/// digits, `-` and `_`, separated by `.` or `/`.
pub fn is_name(text: &str) -> bool {
    let alphanumeric =
        |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_segment = |segment: &str| {
        let bytes = segment.as_bytes();
        let inner = |b: &u8| alphanumeric(Some(b)) || matches!(b, b'-' | b'_');
        alphanumeric(bytes.first()) && alphanumeric(bytes.last()) && bytes.iter().all(inner)
    };
    text.len() <= MAX_LENGTH && text.split(['.', '/']).all(is_segment)
}

/// The name with dots between its segments. As sysctl(8) has it, a name whose
/// first separator is a slash uses the two the other way round: `net/ipv4/conf/
/// eth0.1/forwarding` is `net.ipv4.conf.eth0/1.forwarding`.
pub fn dotted(name: &str) -> Cow<'_, str> {
    if !name.contains('/') || name.find(['.', '/']) == name.find('.') {
        return Cow::Borrowed(name);
    }
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    Cow::Owned(name.chars().map(swap).collect())
}

/// The namespace of a sysctl, or of all that begin so; none if it is the whole
/// host's, or not known to be anything else.
pub fn namespace(dotted: &str) -> Option<Namespace> {
    let ipc = ["kernel.shm", "kernel.msg", "fs.mqueue."];
    if dotted == "kernel.sem" || ipc.iter().any(|prefix| dotted.starts_with(prefix)) {
        Some(Namespace::Ipc)
    } else if dotted.starts_with("net.") {
        Some(Namespace::Net)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        for good in ["a", "a.b", "net/ipv4/tcp_rmem", "net.ipv4.conf.eth0-1/2.x"] {
            assert!(is_name(good), "{good}");
        }
        let long = "a".repeat(254);
        for bad in [
            "", "A", ".a", "a.", "a..b", "a._b", "a-", "a b", "a*", "é", &long,
        ] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn both_ways_of_writing_mean_the_same() {
        assert_eq!(dotted("kernel.sem"), "kernel.sem");
        assert_eq!(dotted("kernel/sem"), "kernel.sem");
        assert_eq!(dotted("net/ipv4/conf/eth0.1/x"), "net.ipv4.conf.eth0/1.x");
        assert_eq!(dotted("net.ipv4.conf.eth0/1.x"), "net.ipv4.conf.eth0/1.x");
        assert_eq!(dotted("kernel"), "kernel");
    }

    #[test]
    fn only_what_is_namespaced_has_a_namespace() {
        assert_eq!(namespace("kernel.shmmax"), Some(Namespace::Ipc));
        assert_eq!(namespace("kernel.sem"), Some(Namespace::Ipc));
        assert_eq!(namespace("kernel.semaphore"), None);
        assert_eq!(namespace("net.core.somaxconn"), Some(Namespace::Net));
        assert_eq!(namespace("network.x"), None);
        assert_eq!(namespace("vm.swappiness"), None);
    }
}
