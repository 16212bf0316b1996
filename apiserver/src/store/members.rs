//! Which members etcd has, and how the one that is asked is.

use super::connection::{Servers, server};
use etcd_client::Client;
use hardway_client::channel::{Connection, Kept, Server};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How often the member that is asked is looked at, while there are others: so that its silence
/// is noticed where only a watch is open.
const LOOK: Duration = Duration::from_millis(400);
/// How often they are listed.
const LIST: Duration = Duration::from_secs(30);
/// How long either may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Follows which members there are and whether the one that is asked has a leader, for ever.
pub(super) async fn follow(
    connection: Connection,
    client: Client,
    servers: Arc<Servers>,
    kept: Option<Kept>,
) {
    let mut members = Members {
        connection,
        client,
        servers,
        kept,
        at: HashMap::new(),
    };
    let mut listed: Option<Instant> = None;
    let mut asked: Option<Server> = None;
    loop {
        // Another one may know others: where it went on alone, those before are none any more.
        let server = members.connection.server();
        if server != asked {
            (asked, listed) = (server, None);
        }
        if listed.is_none_or(|at| at.elapsed() >= LIST) && members.list().await {
            listed = Some(Instant::now());
        }
        let pause = match members.servers.known().are_several() {
            true => {
                members.look().await;
                LOOK
            }
            false => LIST,
        };
        // Without an answer it is asked again soon.
        tokio::time::sleep(if listed.is_some() { pause } else { LOOK }).await;
    }
}

struct Members {
    connection: Connection,
    client: Client,
    servers: Arc<Servers>,
    kept: Option<Kept>,
    /// Which server has turned out to be which member.
    at: HashMap<u64, Server>,
}

/// A member, as the cluster lists it.
struct Listed {
    id: u64,
    name: String,
    urls: Vec<String>,
}

impl Members {
    /// Asks the member how it is, and leaves it for another one if it has no leader.
    async fn look(&mut self) {
        let mut status = self.client.maintenance_client();
        let answer = timeout(PATIENCE, status.status()).await;
        let Ok(Ok(answer)) = answer else {
            // Its silence is noticed by who waits for it.
            return;
        };
        if answer.leader() == 0 {
            self.connection.doubt("it has no leader").await;
        } else if answer.is_learner() {
            self.connection.doubt("it is a learner").await;
        }
    }

    /// Takes over which members there are. Says whether that was learned.
    async fn list(&mut self) -> bool {
        let mut cluster = self.client.cluster_client();
        let Ok(Ok(answer)) = timeout(PATIENCE, cluster.member_list()).await else {
            return false;
        };
        if let (Some(header), Some(server)) = (answer.header(), self.connection.server()) {
            let has_others = !self.servers.known().other_than(&server).is_empty();
            let own = self.servers.cluster();
            if let Err(why) = own.admit(header.into(), has_others, &server) {
                self.connection.doubt(&why).await;
                return false;
            }
            own.has_members(answer.members().iter().map(|it| it.id()).collect());
            self.at.insert(header.member_id(), server);
        }
        let voting = answer
            .members()
            .iter()
            .filter(|member| !member.is_learner());
        let listed: Vec<Listed> = voting
            .map(|member| Listed {
                id: member.id(),
                name: member.name().to_owned(),
                urls: member.client_urls().to_vec(),
            })
            .collect();
        let servers = reachable(
            &listed,
            &self.at,
            self.servers.known().given(),
            self.servers.are_secure(),
        );
        let told: Vec<String> = servers.iter().map(|server| self.url(server)).collect();
        if !servers.is_empty() && self.servers.known().set_listed(servers) {
            tracing::info!(members = ?told, "the members of etcd");
            if let Some(kept) = &self.kept {
                kept.write(&told);
            }
        }
        true
    }

    fn url(&self, server: &Server) -> String {
        let scheme = if self.servers.are_secure() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{server}")
    }
}

/// Where members are: where they turned out to be, or where they say that they are. One that has
/// not started yet (it has no name), or says only what is good on its own host and was not given,
/// is left out.
fn reachable(
    listed: &[Listed],
    at: &HashMap<u64, Server>,
    given: &[Server],
    secure: bool,
) -> Vec<Server> {
    let is_everybodys = |server: &Server| {
        let address = server.host.parse::<IpAddr>();
        server.host != "localhost" && !address.is_ok_and(|a| a.is_loopback() || a.is_unspecified())
    };
    let started = listed.iter().filter(|member| !member.name.is_empty());
    let place = |member: &Listed| {
        let secure = member
            .urls
            .iter()
            .filter(|url| url.starts_with("https://") == secure);
        let told: Vec<Server> = secure.filter_map(|url| server(url).ok()).collect();
        let told = (told.iter().find(|server| is_everybodys(server)))
            .or_else(|| told.iter().find(|server| given.contains(server)));
        at.get(&member.id).or(told).cloned()
    };
    started.filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: u64, name: &str, urls: &[&str]) -> Listed {
        Listed {
            id,
            name: name.to_owned(),
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        }
    }

    #[test]
    fn the_own_member_is_where_it_was_found_and_others_where_they_say() {
        let own = server("https://127.0.0.1:2379").unwrap();
        let at = HashMap::from([(1, own.clone())]);
        let listed = [
            member(1, "a", &["https://10.0.0.1:2379"]),
            member(2, "b", &["https://127.0.0.1:2379", "https://10.0.0.2:2379"]),
            member(3, "", &["https://10.0.0.3:2379"]),
            member(4, "d", &["http://10.0.0.4:2379"]),
            member(5, "e", &["https://localhost:2379"]),
            member(6, "f", &["https://127.0.0.1:3379"]),
        ];
        let second = server("https://10.0.0.2:2379").unwrap();
        let given = server("https://127.0.0.1:3379").unwrap();
        let found = reachable(&listed, &at, std::slice::from_ref(&given), true);
        assert_eq!(found, [own, second, given]);
    }
}
