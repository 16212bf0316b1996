//! `/debug/api_priority_and_fairness/`: what is in the queues, as tables.

use super::Fairness;
use super::level::Details;
use jiff::SignedDuration;
use std::time::Duration;

const ROOT: &str = "/debug/api_priority_and_fairness/";
const LEVELS: [&str; 10] = [
    "PriorityLevelName",
    "ActiveQueues",
    "IsIdle",
    "IsQuiescing",
    "WaitingRequests",
    "ExecutingRequests",
    "DispatchedRequests",
    "RejectedRequests",
    "TimedoutRequests",
    "CancelledRequests",
];
const QUEUES: [&str; 9] = [
    "PriorityLevelName",
    "Index",
    "PendingRequests",
    "ExecutingRequests",
    "SeatsInUse",
    "NextDispatchR",
    "InitialSeatsSum",
    "MaxSeatsSum",
    "TotalWorkSum",
];
const REQUESTS: [&str; 10] = [
    "PriorityLevelName",
    "FlowSchemaName",
    "QueueIndex",
    "RequestIndexInQueue",
    "FlowDistingsher",
    "ArriveTime",
    "InitialSeats",
    "FinalSeats",
    "AdditionalLatency",
    "StartTime",
];
const DETAILS: [&str; 8] = [
    "UserName",
    "Verb",
    "APIPath",
    "Namespace",
    "Name",
    "APIVersion",
    "Resource",
    "SubResource",
];

/// The table at a path; `None` if there is none.
pub fn respond(fairness: &Fairness, path: &str, detailed: bool) -> Option<String> {
    let rows = match path.strip_prefix(ROOT)? {
        "dump_priority_levels" => fairness.dump_levels(),
        "dump_queues" => fairness.dump_queues(),
        "dump_requests" => fairness.dump_requests(detailed),
        _ => return None,
    };
    Some(table(&rows))
}

type Row = Vec<String>;

fn header(columns: &[&str]) -> Row {
    columns.iter().map(|column| (*column).to_owned()).collect()
}

impl Fairness {
    fn dump_levels(&self) -> Vec<Row> {
        let mut rows = vec![header(&LEVELS)];
        for level in self.levels() {
            let state = level.state.lock();
            let (set, totals) = (&state.set, state.set.totals());
            let active = set.queues().filter(|q| q.waiting > 0).count();
            rows.push(vec![
                level.name.to_string(),
                active.to_string(),
                set.is_idle().to_string(),
                state.quiescing.to_string(),
                set.waiting().to_string(),
                set.executing_count().to_string(),
                totals.dispatched.to_string(),
                totals.rejected.to_string(),
                totals.timed_out.to_string(),
                totals.cancelled.to_string(),
            ]);
        }
        rows
    }

    fn dump_queues(&self) -> Vec<Row> {
        let mut rows = vec![header(&QUEUES)];
        for level in self.levels() {
            for (index, queue) in level.state.lock().set.queues().enumerate() {
                rows.push(vec![
                    level.name.to_string(),
                    index.to_string(),
                    queue.waiting.to_string(),
                    queue.executing.to_string(),
                    queue.seats_in_use.to_string(),
                    format!("{:.8}ss", queue.next_r),
                    queue.seats_sum.to_string(),
                    queue.max_seats_sum.to_string(),
                    format!("{:.8}ss", queue.work_sum),
                ]);
            }
        }
        rows
    }

    fn dump_requests(&self, detailed: bool) -> Vec<Row> {
        let mut columns = header(&REQUESTS);
        if detailed {
            columns.extend(header(&DETAILS));
        }
        let mut rows = vec![columns];
        let none = || "-1".to_owned();
        for level in self.levels() {
            for shown in level.state.lock().set.requests() {
                let (request, tag) = (shown.request, &shown.request.tag);
                let mut row = vec![
                    level.name.to_string(),
                    tag.counted.names[1].clone(),
                    shown.queue.map_or_else(none, |queue| queue.to_string()),
                    shown.place.map_or_else(none, |place| place.to_string()),
                    tag.flow.clone(),
                    self.time(request.arrived),
                    request.work.seats.to_string(),
                    request.work.final_seats.to_string(),
                    format!("{:?}", request.work.lingering),
                    shown
                        .started
                        .map_or_else(|| "0001-01-01T00:00:00Z".into(), |t| self.time(t)),
                ];
                if detailed {
                    row.extend(described(&tag.details));
                }
                rows.push(row);
            }
        }
        rows
    }

    fn time(&self, since: Duration) -> String {
        let since = SignedDuration::try_from(since).unwrap_or_default();
        (self.began_at + since).to_string()
    }
}

fn described(details: &Details) -> Row {
    let mut row = vec![details.user.clone(), details.verb.to_owned()];
    match &details.target {
        Some(target) => row.extend([
            target.path(),
            target.namespace.clone(),
            target.name.clone(),
            target.api_version(),
            target.plural().to_owned(),
            target.subresource.clone(),
        ]),
        None => {
            row.push(details.path.clone());
            row.extend(std::iter::repeat_n(String::new(), 5));
        }
    }
    row
}

/// Columns of one width, with commas.
fn table(rows: &[Row]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.len() + 2).max().unwrap_or(0).max(8)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (at, cell) in row.iter().enumerate() {
            match at + 1 == row.len() {
                true => text.push_str(cell),
                false => text.push_str(&format!("{:<1$}", format!("{cell},"), widths[at])),
            }
        }
        text.push('\n');
    }
    text
}
