//! Objects of the load.

use serde_json::{Value, json};

/// The annotation that makes objects as large as is asked for.
const FILLING: &str = "hardway-load/filling";
/// What a pod has besides, as it is stored: defaults, what admission adds, managedFields.
const PLAIN_POD: usize = 2000;

/// A pod that no scheduler takes, so that no kubelet runs it: of about this size as the API
/// server gives it. `number` says its group of ten.
pub fn pod(name: &str, number: u64, size: u32) -> Value {
    let filling = (size as usize).saturating_sub(PLAIN_POD);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app": "load", "group": group(number)},
            "annotations": {FILLING: text(filling, number)},
        },
        "spec": {
            "schedulerName": "hardway-load",
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{
                "name": "load",
                "image": "registry.invalid/load:1",
                "env": [{"name": "NUMBER", "value": number.to_string()}],
                "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
                "ports": [{"containerPort": 8080, "name": "http"}],
            }],
        },
    })
}

/// The group of ten that an object is in.
pub fn group(number: u64) -> String {
    format!("g{}", number % 10)
}

/// Text of a length that doesn't compress to nothing, as real annotations don't either.
fn text(length: usize, number: u64) -> String {
    let mut state = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let words = std::iter::from_fn(|| {
        state = state.rotate_left(23).wrapping_mul(0x2545_f491_4f6c_dd1d) ^ number;
        Some(format!("{:x}-load-", state & 0xffff_ffff))
    });
    let mut text = String::with_capacity(length + 16);
    for word in words {
        if text.len() >= length {
            break;
        }
        text.push_str(&word);
    }
    text.truncate(length);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_pod_has_more_text() {
        let length = |size| pod("p", 3, size).to_string().len();
        assert_eq!(length(5000) - length(4000), 1000);
        assert_eq!(length(600), length(1000));
        assert_ne!(text(100, 1), text(100, 2));
    }
}
