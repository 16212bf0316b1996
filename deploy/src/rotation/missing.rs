//! Who isn't yet where a rotation may go on.

/// Who isn't there yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Who: `apiserver 10.0.0.1:6443`, `node worker-1`.
    pub who: String,
    /// What is the matter.
    pub why: String,
    /// How one sees it, or what to do about it.
    pub see: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { who, why, see } = self;
        match see.is_empty() {
            true => write!(f, "{who}: {why}"),
            false => write!(f, "{who}: {why} ({see})"),
        }
    }
}

/// One of them.
pub(super) fn missing(
    who: impl Into<String>,
    why: impl Into<String>,
    see: impl Into<String>,
) -> Missing {
    Missing {
        who: who.into(),
        why: why.into(),
        see: see.into(),
    }
}
