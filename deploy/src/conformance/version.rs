//! What the tests' version says of how they have to be run.

/// Whether tests that answer so to `--version` are older than 1.24; none if they do not say
/// their version, like those that were built without being told it.
///
/// Until 1.24 service accounts had token Secrets (feature gate
/// `LegacyServiceAccountTokenNoAutoGeneration`), and the kubelet its own way to Docker.
pub fn is_before_1_24(version: &str) -> Option<bool> {
    let minor = version.trim().strip_prefix("v1.")?.split('.').next()?;
    let minor: u32 = minor.parse().ok()?;
    Some(minor < 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minor_version_counts() {
        for (version, before) in [
            ("v1.20.2\n", Some(true)),
            ("v1.23.17", Some(true)),
            ("v1.24.0", Some(false)),
            ("v1.33.1", Some(false)),
            ("v0.0.0-master+faecb196815e2", None),
            ("unknown", None),
        ] {
            assert_eq!(is_before_1_24(version), before, "{version}");
        }
    }
}
