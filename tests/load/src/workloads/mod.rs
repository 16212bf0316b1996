//! The kinds of load, a file each.

mod conflicts;
mod create;
mod custom_resources;
mod delete;
mod dns;
mod idle;
mod list;
mod make;
mod mix;
mod node_pods;
mod ready;
mod start;
mod streams;
mod watch;
mod webhooks;

use crate::failure::Failure;
use crate::scheduling;
use crate::workload::Workload;

/// How the names of scheduling workloads begin.
const SCHEDULE: &str = "schedule";

/// All of them, in the order in which they run.
pub fn all() -> Vec<Box<dyn Workload>> {
    vec![
        Box::new(idle::Idle),
        Box::new(create::Create),
        Box::new(mix::Mix),
        Box::new(list::List),
        Box::new(watch::Watch),
        Box::new(delete::Delete),
        Box::new(custom_resources::CustomResources),
        Box::new(conflicts::Conflicts),
        Box::new(webhooks::Webhooks),
        Box::new(start::Start),
        Box::new(streams::Streams),
        Box::new(dns::Dns),
        Box::new(ready::Ready),
    ]
}

/// Those with these names; all where there are none, but those that schedule: they bring nodes
/// with them, of which the cluster's controllers take notice. `schedule` names all of these.
///
/// # Errors
/// If there is none of a name.
pub fn choose(names: &[String]) -> Result<Vec<Box<dyn Workload>>, Failure> {
    let mut all = all();
    if !names.is_empty() {
        all.extend(scheduling::workloads());
    }
    let known: Vec<&str> = all.iter().map(|it| it.name()).collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| !known.contains(&name.as_str()) && *name != SCHEDULE)
    {
        let way_out = format!("there are: {}", known.join(", "));
        let what = format!("find the workload {unknown}");
        return Err(Failure::new(what, "there is none of this name", way_out));
    }
    let schedules =
        |name: &str| name.starts_with(SCHEDULE) && names.iter().any(|it| it == SCHEDULE);
    let is_chosen =
        |name: &str| names.is_empty() || names.iter().any(|it| it == name) || schedules(name);
    Ok(all.into_iter().filter(|it| is_chosen(it.name())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workloads_are_chosen_by_name() {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            choose(&names).map(|it| it.iter().map(|it| it.name()).collect::<Vec<_>>())
        };
        assert_eq!(names(&["watch", "create"]).unwrap(), ["create", "watch"]);
        assert_eq!(names(&[]).unwrap().len(), all().len());
        let scheduling = names(&["schedule"]).unwrap();
        assert_eq!(scheduling.len(), scheduling::workloads().len());
        assert_eq!(names(&["schedule-plain"]).unwrap(), ["schedule-plain"]);
        let failure = names(&["create", "creat"]).unwrap_err();
        assert!(failure.what.ends_with("creat") && failure.way_out.contains("create"));
    }
}
