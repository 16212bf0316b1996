//! What a cause finds out about an object.

use jiff::Timestamp;

use crate::diagnosis::{Evidence, Remedy, Severity};

/// Something that is not well with an object.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub severity: Severity,
    pub summary: String,
    pub since: Option<Timestamp>,
    pub evidence: Vec<Evidence>,
    pub remedies: Vec<Remedy>,
    /// Whether it follows from what is wrong with an object below, if anything is.
    pub is_symptom: bool,
    /// What tells it from other findings of the same cause with objects of the same owner.
    pub key: String,
}

impl Finding {
    fn new(severity: Severity, summary: impl Into<String>) -> Self {
        Self {
            severity,
            summary: summary.into(),
            since: None,
            evidence: Vec::new(),
            remedies: Vec::new(),
            is_symptom: false,
            key: String::new(),
        }
    }

    pub fn error(summary: impl Into<String>) -> Self {
        Self::new(Severity::Error, summary)
    }

    pub fn warning(summary: impl Into<String>) -> Self {
        Self::new(Severity::Warning, summary)
    }

    pub fn info(summary: impl Into<String>) -> Self {
        Self::new(Severity::Info, summary)
    }

    pub fn since(mut self, since: Option<Timestamp>) -> Self {
        self.since = since.or(self.since);
        self
    }

    pub fn symptom(mut self) -> Self {
        self.is_symptom = true;
        self
    }

    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    pub fn says(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    /// A change that would help.
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.remedies.push(Remedy {
            advice: advice.into(),
            command: None,
        });
        self
    }

    /// A command that would help, or leads there.
    pub fn run(mut self, advice: impl Into<String>, command: impl Into<String>) -> Self {
        self.remedies.push(Remedy {
            advice: advice.into(),
            command: Some(command.into()),
        });
        self
    }
}
