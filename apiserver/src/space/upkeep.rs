//! What is to be done about etcd's space: which member is defragmented, and when its alarm is
//! disarmed. Decided by every apiserver for itself out of what all members say, so that they
//! agree without talking to each other: each looks after its own host's member only.

use super::members::Member;

/// Shares of the quota. A defragmentation stops its member for as long as it takes to copy what
/// is in use, so it must be worth it: the file is so large that it will be needed, and …
const NEEDED: f64 = 0.80;
/// … so much of the file is won.
const WORTH: f64 = 1.0 / 3.0;
/// So near to its end …
const URGENT: f64 = 0.95;
/// … little is worth it: what follows is that nothing can be written.
const WORTH_IF_URGENT: f64 = 0.05;
/// The alarm is disarmed below this: above, it would be raised again at once.
const DISARM: f64 = 0.95;

/// A thing to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Forget all history: most of what an etcd without space holds.
    Compact,
    /// Defragment the own member.
    Defragment,
    /// Have this other member lead first: one that defragments answers nobody.
    HandOver(u64),
    /// Let etcd write again.
    Disarm,
}

/// What to do next, if anything: by what the members said, the own one first, none for one
/// that didn't answer. `compacted` says whether all history has gone since the alarm.
pub fn next(members: &[Option<Member>], compacted: bool) -> Option<Step> {
    let own = (*members.first()?)?;
    let known: Vec<Member> = members.iter().flatten().copied().collect();
    let all_answer = known.len() == members.len();
    let alarm = known.iter().any(|member| member.alarm);
    if alarm && !compacted {
        return Some(Step::Compact);
    }
    let mut due: Vec<&Member> = known.iter().filter(|member| is_due(member)).collect();
    // Who leads is the last.
    due.sort_by_key(|member| (member.leads(), member.id));
    if let Some(first) = due.first() {
        // With one of three away and another one busy there would be no quorum.
        let is_safe = all_answer && known.iter().all(|member| member.leader != 0);
        let is_mine = first.id == own.id;
        return match is_safe && is_mine {
            true if own.leads() => match known.iter().find(|it| it.id != own.id && it.votes) {
                Some(other) => Some(Step::HandOver(other.id)),
                None => Some(Step::Defragment),
            },
            true => Some(Step::Defragment),
            false => None,
        };
    }
    let has_room = |member: &Member| member.share(member.size) < DISARM;
    (alarm && all_answer && known.iter().all(has_room)).then_some(Step::Disarm)
}

/// Whether a member should be defragmented.
fn is_due(member: &Member) -> bool {
    let free = member.size.saturating_sub(member.in_use);
    let size = member.share(member.size);
    let is_worth = free as f64 >= member.size as f64 * WORTH;
    (size >= NEEDED && is_worth) || (size >= URGENT && member.share(free) >= WORTH_IF_URGENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, size: u64, in_use: u64) -> Option<Member> {
        Some(Member {
            id,
            leader: 3,
            votes: true,
            size,
            in_use,
            quota: Some(1000),
            alarm: false,
        })
    }

    fn alarmed(member: Option<Member>) -> Option<Member> {
        member.map(|member| Member {
            alarm: true,
            ..member
        })
    }

    #[test]
    fn a_member_is_defragmented_when_it_pays() {
        let alone = |size, in_use| next(&[member(3, size, in_use)], false);
        assert_eq!(alone(700, 100), None, "there is room enough");
        assert_eq!(alone(800, 600), None, "too little is won");
        assert_eq!(alone(800, 500), Some(Step::Defragment));
        assert_eq!(alone(960, 900), Some(Step::Defragment), "it is urgent");
        assert_eq!(alone(960, 930), None, "nothing is won");
    }

    #[test]
    fn members_take_turns_and_the_leader_is_the_last() {
        let (one, two) = (member(1, 900, 100), member(2, 900, 100));
        let leader = member(3, 900, 100);
        assert_eq!(next(&[one, two, leader], false), Some(Step::Defragment));
        assert_eq!(
            next(&[two, one, leader], false),
            None,
            "it is another's turn"
        );
        assert_eq!(next(&[leader, one, two], false), None);
        let done = |id| member(id, 100, 100);
        let of_two = next(&[two, done(1), leader], false);
        assert_eq!(of_two, Some(Step::Defragment));
        let of_leader = next(&[leader, done(1), done(2)], false);
        assert_eq!(of_leader, Some(Step::HandOver(1)));
        assert_eq!(next(&[one, two, None], false), None, "one is away");
    }

    #[test]
    fn an_alarm_is_disarmed_when_there_is_room() {
        let full = alarmed(member(3, 1000, 500));
        assert_eq!(next(&[full], false), Some(Step::Compact));
        assert_eq!(next(&[full], true), Some(Step::Defragment));
        assert_eq!(
            next(&[alarmed(member(3, 500, 500))], true),
            Some(Step::Disarm)
        );
        let hopeless = alarmed(member(3, 1000, 990));
        assert_eq!(next(&[hopeless], true), None, "objects must go first");
    }
}
