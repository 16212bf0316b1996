//! Which of several versions is preferred.

/// Kubernetes' order of versions: v2 before v1 before v1beta1 before v1alpha1
/// before anything else. Greater is preferred.
pub fn version_priority(version: &str) -> (u8, u32, u32) {
    let parse = || -> Option<(u8, u32, u32)> {
        let rest = version.strip_prefix('v')?;
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        match &rest[digits..] {
            "" => Some((3, major, 0)),
            stage => {
                let (level, minor) = match stage.strip_prefix("beta") {
                    Some(minor) => (2, minor),
                    None => (1, stage.strip_prefix("alpha")?),
                };
                Some((level, major, minor.parse().ok()?))
            }
        }
    };
    parse().unwrap_or((0, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_kubernetes_order() {
        let mut versions = ["v1alpha1", "foo", "v1", "v10", "v1beta2", "v2", "v1beta1"];
        versions.sort_by_key(|v| std::cmp::Reverse(version_priority(v)));
        assert_eq!(
            versions,
            ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "foo"]
        );
    }
}
