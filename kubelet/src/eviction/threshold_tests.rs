use super::*;

fn amount(text: &str) -> Amount {
    Amount::Absolute(text.parse().unwrap())
}

fn hard(signal: Signal, value: Amount) -> Threshold {
    Threshold {
        signal,
        value,
        grace: Duration::ZERO,
        min_reclaim: None,
    }
}

/// `TestParseThresholdConfig` of `pkg/kubelet/eviction/helpers_test.go`.
#[test]
fn flags_say_what_must_be_left() {
    let none = Texts::default();
    assert_eq!(parse(none), Ok(Vec::new()));
    let both = Texts {
        hard: "memory.available<150Mi",
        soft: "memory.available<300Mi",
        soft_grace_period: "memory.available=30s",
        minimum_reclaim: "memory.available=0",
    };
    let soft = Threshold {
        grace: Duration::from_secs(30),
        min_reclaim: Some(amount("0")),
        ..hard(Signal::MemoryAvailable, amount("300Mi"))
    };
    let memory = Threshold {
        min_reclaim: Some(amount("0")),
        ..hard(Signal::MemoryAvailable, amount("150Mi"))
    };
    let of_pods = Threshold {
        signal: Signal::AllocatableMemoryAvailable,
        ..memory
    };
    assert_eq!(parse(both), Ok(vec![memory, soft, of_pods]));
    let percent = Texts {
        hard: "nodefs.available<10%,imagefs.inodesFree<5%",
        minimum_reclaim: "nodefs.available=5%",
        ..none
    };
    let expected = vec![
        Threshold {
            min_reclaim: Some(Amount::Share(0.05)),
            ..hard(Signal::NodeFsAvailable, Amount::Share(0.1))
        },
        hard(Signal::ImageFsInodesFree, Amount::Share(0.05)),
    ];
    assert_eq!(parse(percent), Ok(expected));
    let off = Texts {
        hard: "memory.available<0%,nodefs.available<100%,containerfs.available<1Gi",
        ..none
    };
    assert_eq!(parse(off), Ok(Vec::new()), "none of them holds");
    assert_eq!(
        parse(Texts {
            hard: DEFAULT_HARD,
            ..none
        })
        .map(|all| all.len()),
        Ok(6)
    );
}

#[test]
fn what_makes_no_sense_is_refused_with_its_flag() {
    let refused = |texts, words: &str| {
        let error = parse(texts).unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    let none = Texts::default();
    let of_hard = |hard| Texts { hard, ..none };
    for (text, words) in [
        (
            "mem.available<150Mi",
            "unsupported eviction signal mem.available",
        ),
        (
            "memory.available=150Mi",
            "malformed pair, expect string<string",
        ),
        ("memory.available<-150Mi", "must be positive: -150Mi"),
        ("memory.available<0", "must be positive: 0"),
        ("memory.available<-15%", "must be >= 0%: -15%"),
        ("memory.available<115%", "must be <= 100%: 115%"),
        ("memory.available<much", "quantities must match"),
        ("memory.available<x%", "--eviction-hard: \"x%\""),
        ("memory.available<NaN%", "not a number"),
    ] {
        refused(of_hard(text), words);
        refused(of_hard(text), "--eviction-hard: ");
    }
    let soft = Texts {
        soft: "memory.available<300Mi",
        ..none
    };
    refused(
        soft,
        "grace period must be specified for the soft eviction threshold memory.available",
    );
    let negative = Texts {
        soft_grace_period: "memory.available=-30s",
        ..soft
    };
    refused(negative, "must not be negative");
    let reclaim = |minimum_reclaim| Texts {
        minimum_reclaim,
        ..none
    };
    refused(
        reclaim("memory.available=-300Mi"),
        "negative eviction minimum reclaim specified for memory.available",
    );
    refused(
        reclaim("memory.available=0%"),
        "minimum reclaim memory.available must be positive: 0%",
    );
}

#[test]
fn a_share_is_of_what_there_is() {
    assert_eq!(
        Amount::Share(0.1).of(1000),
        Quantity::from_value(100, Format::BinarySi)
    );
    assert_eq!(amount("1Gi").of(5).value(), 1 << 30);
}
