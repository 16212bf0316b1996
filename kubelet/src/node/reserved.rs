//! What is kept from pods for the system and for Kubernetes' own processes.

use hardway_proto::quantity::Quantity;
use std::ops::Add;

/// Amounts of what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Thousandths of a core.
    pub cpu: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes of the disk.
    pub storage: i64,
    /// Process numbers.
    pub processes: i64,
}

impl Add for Reserved {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_add(other.cpu),
            memory: self.memory.saturating_add(other.memory),
            storage: self.storage.saturating_add(other.storage),
            processes: self.processes.saturating_add(other.processes),
        }
    }
}

impl Reserved {
    /// Reads `cpu=200m,memory=500Mi,ephemeral-storage=1Gi,pid=1000`.
    ///
    /// # Errors
    /// In Kubernetes' words (`parseResourceList` in `cmd/kubelet/app/server.go`).
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reserved = Self::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (name, amount) = pair
                .split_once('=')
                .ok_or("malformed pair, expect string=string")?;
            let (name, amount) = (name.trim(), amount.trim());
            let parsed: Quantity = amount.parse().map_err(|e| {
                format!("failed to parse quantity {amount:?} for {name:?} resource: {e}")
            })?;
            if parsed.sign() < 0 {
                return Err(format!(
                    "resource quantity for {name:?} cannot be negative: {amount}"
                ));
            }
            match name {
                "cpu" => reserved.cpu = parsed.milli_value(),
                "memory" => reserved.memory = parsed.value(),
                "ephemeral-storage" => reserved.storage = parsed.value(),
                "pid" => reserved.processes = parsed.value(),
                _ => return Err(format!("cannot reserve {name:?} resource")),
            }
        }
        Ok(reserved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_summed() {
        let system = Reserved::parse("cpu=200m,memory=1Gi").unwrap();
        let own = Reserved::parse("memory=1Gi, pid=1000,ephemeral-storage=1k").unwrap();
        let sum = Reserved {
            cpu: 200,
            memory: 2 << 30,
            storage: 1000,
            processes: 1000,
        };
        assert_eq!(system + own, sum);
        assert_eq!(Reserved::parse(""), Ok(Reserved::default()));
        for (text, words) in [
            ("cpu", "malformed pair"),
            ("cpu=much", "failed to parse quantity \"much\" for \"cpu\""),
            (
                "cpu=-1",
                "resource quantity for \"cpu\" cannot be negative: -1",
            ),
            ("gpu=1", "cannot reserve \"gpu\" resource"),
        ] {
            let error = Reserved::parse(text).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
