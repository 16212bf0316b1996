//! What operators extend, with servers that die: admission webhooks, admission policies, the
//! conversion of custom resources, API servers behind the apiserver.

#[path = "extending/aggregation.rs"]
mod aggregation;
#[path = "extending/conversion.rs"]
mod conversion;
#[path = "extending/hooks.rs"]
mod hooks;
#[path = "extending/policies.rs"]
mod policies;
#[path = "extending/webhooks.rs"]
mod webhooks;

use hardway_tests::steps;
use hooks::Hooks;

#[test]
#[ignore = "needs a lab: cargo hardway test"]
fn what_operators_extend_holds() {
    let hooks = Hooks::start();
    let steps: &[steps::Step<Hooks>] = &[
        ("changed and refused", webhooks::changed_and_refused),
        ("a webhook that never answers", webhooks::never_answers),
        ("a policy in force at once", policies::in_force_at_once),
        (
            "webhooks killed amid requests",
            webhooks::killed_amid_requests,
        ),
        ("conversion and migration", conversion::converted_and_moved),
        ("an API server that is away", aggregation::away),
    ];
    steps::run(&hooks, &hooks.namespace, steps);
}
