//! `hardway etcd defrag`: gives back to the disk what etcd's files have no use for, a member at
//! a time.

use std::time::Instant;

use anstream::println;

use super::failure;
use crate::etcd::{Client, Error, Member, Status};
use crate::failure::{Failure, Result};
use crate::progress::seconds;

/// What `defrag` may be told.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Go on though a member doesn't answer: while another one is busy, nothing may be written
    #[arg(long)]
    force: bool,
}

/// Does it.
///
/// # Errors
/// If a member doesn't answer, or can't be defragmented.
pub fn run(client: &Client, options: &Options) -> Result<()> {
    let what = "defragment etcd";
    let survey = client.survey().map_err(|error| failure(what, &error))?;
    all(client, &survey, options.force)
}

/// What each member says of itself.
pub(super) type Survey = [(Member, std::result::Result<Status, Error>)];

/// Every member in its turn.
pub(super) fn all(client: &Client, survey: &Survey, force: bool) -> Result<()> {
    for (member, status) in turns(survey, force)? {
        let what = format!("defragment {}", member.label());
        let own = client.at(member.client_address().into_iter().collect());
        if status.leader == Some(member.id)
            && let Some(other) = successor(survey, member)
        {
            // Who defragments answers nobody, so that it would lose its lead in any case; this
            // way nobody waits for an election.
            own.hand_over(other.id)
                .map_err(|error| failure(&what, &error))?;
            println!("{}: {} leads from now on", member.label(), other.label());
        }
        let began = Instant::now();
        own.defragment().map_err(|error| failure(&what, &error))?;
        let after = own.status().map_err(|error| failure(&what, &error))?;
        let size = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        println!(
            "{}: {} → {} in {}",
            member.label(),
            size(status.db_size),
            size(after.db_size),
            seconds(began.elapsed())
        );
    }
    Ok(())
}

/// Whose turn it is, one after the other: who leads is the last.
fn turns(survey: &Survey, force: bool) -> Result<Vec<(&Member, &Status)>> {
    let silent = |(member, status): &(Member, std::result::Result<Status, Error>)| {
        let error = status.as_ref().err()?;
        Some(format!("{}: {error}", member.label()))
    };
    let silent: Vec<String> = survey.iter().filter_map(silent).collect();
    if !silent.is_empty() && !force {
        return Err(Failure::new("defragment etcd", silent.join("; ")).way_out(
            "while a member is defragmented the others must be there: see  hardway etcd members; or go on with --force",
        ));
    }
    let answering = survey.iter().filter_map(|(member, status)| {
        let status = status.as_ref().ok()?;
        Some((member, status))
    });
    let mut turns: Vec<_> = answering.collect();
    turns.sort_by_key(|(member, status)| status.leader == Some(member.id));
    Ok(turns)
}

/// Who may lead in place of a member.
fn successor<'a>(survey: &'a Survey, of: &Member) -> Option<&'a Member> {
    let may_lead = |(member, status): &&(Member, std::result::Result<Status, Error>)| {
        member.id != of.id && !member.is_learner && status.is_ok()
    };
    survey.iter().find(may_lead).map(|(member, _)| member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn member(id: u64, answers: bool) -> (Member, std::result::Result<Status, Error>) {
        let member = Member {
            id,
            name: format!("host-{id}"),
            peer_urls: Vec::new(),
            client_urls: Vec::new(),
            is_learner: false,
        };
        let status = Status::read(&json!({"header": {"member_id": id.to_string()}, "leader": "1"}));
        let status = match answers {
            true => Ok(status),
            false => Err(Error::Unreachable("it is away".to_owned())),
        };
        (member, status)
    }

    #[test]
    fn who_leads_is_the_last_and_hands_over() {
        let survey = [member(1, true), member(2, true), member(3, true)];
        let order: Vec<u64> = turns(&survey, false)
            .unwrap()
            .iter()
            .map(|(member, _)| member.id)
            .collect();
        assert_eq!(order, [2, 3, 1]);
        let next = successor(&survey, &survey[0].0).map(|it| it.id);
        assert_eq!(next, Some(2));
        assert!(successor(&survey[..1], &survey[0].0).is_none());
    }

    #[test]
    fn nothing_is_done_while_one_is_away() {
        let survey = [member(1, true), member(2, false), member(3, true)];
        let refused = turns(&survey, false).unwrap_err();
        assert!(refused.why.contains("host-2: no member"), "{refused}");
        assert_eq!(turns(&survey, true).unwrap().len(), 2);
        assert_eq!(successor(&survey, &survey[0].0).map(|it| it.id), Some(3));
    }
}
