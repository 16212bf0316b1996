//! `hardway etcd members`: who they are and how each is.

use anstream::println;

use crate::etcd::{Client, Error, Member, Status, Surveyed};
use crate::failure::Result;

/// Shows them; says whether all are healthy.
///
/// # Errors
/// If none can say who they are.
pub fn run(client: &Client) -> Result<bool> {
    let survey = client
        .survey()
        .map_err(|error| super::failure("list etcd's members", &error))?;
    let rows: Vec<Row> = rows(&survey);
    println!(
        "{:<24}{:<18}{:<10}{:<11}{:<10}{:<10}{:<6}{:<6}HEALTH",
        "NAME", "ADDRESS", "ROLE", "VERSION", "DB SIZE", "IN USE", "TERM", "LAG"
    );
    for row in &rows {
        println!(
            "{:<24}{:<18}{:<10}{:<11}{:<10}{:<10}{:<6}{:<6}{}",
            row.name,
            row.address,
            row.role,
            row.version,
            row.size,
            row.used,
            row.term,
            row.lag,
            row.health
        );
    }
    Ok(rows.iter().all(|row| row.is_healthy))
}

/// A member as the list shows it.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    address: String,
    role: &'static str,
    version: String,
    size: String,
    used: String,
    term: String,
    /// How many entries of the log it has yet to take into its store.
    lag: String,
    health: String,
    is_healthy: bool,
}

fn rows(survey: &[Surveyed]) -> Vec<Row> {
    let answers = survey.iter().filter_map(|(_, status)| status.as_ref().ok());
    // The leader's own, where there is one.
    let latest = answers.map(|status| status.raft_index).max().unwrap_or(0);
    survey
        .iter()
        .map(|(member, status)| row(member, status.as_ref(), latest))
        .collect()
}

fn row(member: &Member, status: std::result::Result<&Status, &Error>, latest: u64) -> Row {
    let address = member.peer_address();
    let text = |of: &dyn Fn(&Status) -> String| status.map_or_else(|_| "-".to_owned(), of);
    let leads = |status: &Status| status.leader == Some(member.id);
    Row {
        name: match member.has_started() {
            true => member.name.clone(),
            false => format!("({:x})", member.id),
        },
        address: address.map_or_else(|| "?".to_owned(), |it| it.ip().to_string()),
        role: match status {
            _ if member.is_learner => "learner",
            Ok(status) if leads(status) => "leader",
            _ => "follower",
        },
        version: text(&|status| status.version.clone()),
        size: text(&|status| size(status.db_size)),
        used: text(&|status| size(status.db_size_in_use)),
        term: text(&|status| status.term.to_string()),
        lag: text(&|status| latest.saturating_sub(status.applied_index).to_string()),
        health: match status {
            Ok(status) if !status.is_healthy() => "no leader: nothing can be written".to_owned(),
            Ok(status) if !status.errors.is_empty() => status.errors.join(", "),
            Ok(_) => "healthy".to_owned(),
            Err(_) if !member.has_started() => "added, and never started".to_owned(),
            Err(error) => error.to_string(),
        },
        is_healthy: status.is_ok_and(|status| status.is_healthy() && status.errors.is_empty()),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::etcd::member::list;

    #[test]
    fn every_member_is_told_of() {
        let members = list(&json!({"members": [
            {"ID": "1", "name": "a", "peerURLs": ["https://10.0.0.1:2380"]},
            {"ID": "2", "name": "b", "peerURLs": ["https://10.0.0.2:2380"]},
            {"ID": "12", "peerURLs": ["https://10.0.0.3:2380"], "isLearner": true},
            {"ID": "4", "name": "d", "peerURLs": ["https://10.0.0.4:2380"]},
        ]}));
        let status = |applied: &str, leader: &str| {
            Ok(Status::read(
                &json!({"version": "3.4.23", "dbSize": "3145728", "leader": leader,
                "dbSizeInUse": "2048", "raftIndex": applied, "raftAppliedIndex": applied, "raftTerm": "2"}),
            ))
        };
        let away = || Err(Error::Unreachable("refused".to_owned()));
        let survey: Vec<_> = members
            .into_iter()
            .zip([
                status("90", "1"),
                status("88", "1"),
                away(),
                status("50", "0"),
            ])
            .collect();
        let rows = rows(&survey);
        let told: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.name.as_str(),
                    row.role,
                    row.lag.as_str(),
                    row.is_healthy,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("a", "leader", "0", true),
                ("b", "follower", "2", true),
                ("(c)", "learner", "-", false),
                ("d", "follower", "40", false),
            ]
        );
        assert_eq!(
            (rows[0].size.as_str(), rows[0].used.as_str()),
            ("3 MiB", "2 KiB")
        );
        assert_eq!(rows[2].health, "added, and never started");
        assert_eq!(rows[2].address, "10.0.0.3");
        assert_eq!(rows[3].health, "no leader: nothing can be written");
    }
}
