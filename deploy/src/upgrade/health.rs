//! Whether the cluster can spare a control plane for a while.

/// An apiserver, and what it said to `/readyz` if that wasn't yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiServer {
    /// Where it is.
    pub address: String,
    /// Whether it is the one of this host.
    pub is_own: bool,
    /// Why it isn't ready.
    pub trouble: Option<String>,
}

/// A member of etcd that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Whether it is the one of this host.
    pub is_own: bool,
    /// Why it isn't well.
    pub trouble: Option<String>,
}

/// What speaks against taking this host's control plane away for a while.
pub fn problems(servers: &[ApiServer], members: &[Member]) -> Vec<String> {
    let of_servers = servers.iter().filter_map(|server| {
        let trouble = server.trouble.as_ref()?;
        Some(format!(
            "the apiserver {} is not ready: {trouble}",
            server.address
        ))
    });
    let mut all: Vec<String> = of_servers.collect();
    let of_members = members.iter().filter_map(|member| {
        let trouble = member.trouble.as_ref()?;
        Some(format!(
            "the etcd member {} is not well: {trouble}",
            member.name
        ))
    });
    all.extend(of_members);
    if servers.len() < members.len() {
        all.push(format!(
            "there are {} etcd members, and {} apiservers: the one that is missing from `kubectl get endpoints kubernetes` is down",
            members.len(),
            servers.len()
        ));
    }
    let well = members.iter().filter(|member| member.trouble.is_none());
    let others = well.filter(|member| !member.is_own).count();
    let quorum = members.len() / 2 + 1;
    if members.len() > 1 && others < quorum {
        all.push(format!(
            "without this host {others} of {} etcd members would be left, and {quorum} are needed to write",
            members.len()
        ));
    }
    all
}

/// Whether the API goes away while this host's control plane does.
pub fn has_gap(members: &[Member]) -> bool {
    members.len() < 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(ready: &[bool]) -> Vec<ApiServer> {
        let server = |(number, ready): (usize, &bool)| ApiServer {
            address: format!("10.88.0.{number}:6443"),
            is_own: number == 0,
            trouble: (!ready).then(|| "etcd failed".to_owned()),
        };
        ready.iter().enumerate().map(server).collect()
    }

    fn members(well: &[bool]) -> Vec<Member> {
        let member = |(number, well): (usize, &bool)| Member {
            name: format!("m{number}"),
            is_own: number == 0,
            trouble: (!well).then(|| "no answer".to_owned()),
        };
        well.iter().enumerate().map(member).collect()
    }

    #[test]
    fn a_host_is_spared_when_the_others_can_write_without_it() {
        for (ready, well, problems) in [
            // One control plane has a gap, whoever upgrades it.
            (vec![true], vec![true], 0),
            (vec![true; 3], vec![true; 3], 0),
            (vec![true; 5], vec![true; 5], 0),
            // Two: each is needed.
            (vec![true; 2], vec![true; 2], 1),
            // One of three is down: it, and the quorum.
            (vec![true; 2], vec![true, true, false], 3),
            (vec![true, true, false], vec![true; 3], 1),
            // One of five: it is told, though the quorum holds.
            (vec![true; 5], vec![true, true, true, true, false], 1),
            // This one is down itself.
            (vec![false, true, true], vec![false, true, true], 2),
        ] {
            let found = super::problems(&servers(&ready), &members(&well));
            assert_eq!(found.len(), problems, "{ready:?} {well:?}: {found:#?}");
        }
        assert!(has_gap(&members(&[true])) && has_gap(&members(&[true; 2])));
        assert!(!has_gap(&members(&[true; 3])));
    }
}
