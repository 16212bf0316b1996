//! Answers out of the cluster's own names: its domain, and the reverse names of
//! its addresses.

use crate::names;
use crate::records::{Item, Records};
use hardway_proto::meta::ObjectKey;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ipnetwork::IpNetwork;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Times of the SOA record, in seconds, as cluster DNS servers give them.
const REFRESH: i32 = 7200;
const RETRY: i32 = 1800;
const EXPIRE: i32 = 86400;
/// Addresses of this many targets are added to an answer that names servers.
const MOST_ADDITIONAL: usize = 16;

/// What the authority is for.
#[derive(Clone, Debug)]
pub struct Scope {
    /// For how many seconds clients may keep an answer.
    pub ttl: u32,
    /// Ranges of the cluster's addresses: nobody else knows their names.
    pub ranges: Vec<IpNetwork>,
    /// Search domains of the nodes. Resolvers append them to names of the
    /// cluster too, which nobody else need be asked about.
    pub searches: Vec<Name>,
    /// The Service of this server, which is the zone's name server.
    pub service: ObjectKey,
}

/// An answer, or a part of one.
#[derive(Clone, Debug)]
pub struct Answer {
    /// How it went.
    pub code: ResponseCode,
    /// What was asked for.
    pub answers: Vec<Record>,
    /// Who says so.
    pub authorities: Vec<Record>,
    /// What may be of use.
    pub additionals: Vec<Record>,
    /// The name to ask about next, if the name asked stands for another.
    pub alias: Option<Name>,
}

impl Answer {
    /// One that says nothing.
    pub fn empty(code: ResponseCode) -> Self {
        Self {
            code,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            alias: None,
        }
    }
}

/// Answers for the cluster's own names.
pub struct Authority {
    records: Records,
    scope: Scope,
    serial: u32,
}

impl Authority {
    /// Answers from these tables.
    pub fn new(records: Records, scope: Scope) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        // Nobody copies the zone, so its serial number is of no consequence.
        let serial = now.map_or(1, |now| u32::try_from(now.as_secs()).unwrap_or(u32::MAX));
        Self {
            records,
            scope,
            serial,
        }
    }

    /// Whether answers are to be relied on.
    pub fn is_synced(&self) -> bool {
        self.records.is_synced()
    }

    /// The addresses under which clients reach this server.
    pub fn own_addresses(&self) -> Vec<IpAddr> {
        self.records.addresses_of(&self.scope.service)
    }

    /// Whether a name is in the cluster's domain.
    pub fn holds(&self, name: &Name) -> bool {
        self.records.zone.zone_of(name)
    }

    /// What the cluster has to say of a name; `None` if others must be asked.
    pub fn answer(&self, name: &Name, kind: RecordType) -> Option<Answer> {
        let zone = &self.records.zone;
        if zone.zone_of(name) {
            return Some(self.in_zone(name, kind));
        }
        if let Some(ip) = names::reversed(name) {
            return self.reverse(name, ip, kind);
        }
        let searched = |search: &Name| {
            let doubled = zone.clone().append_domain(search);
            doubled.is_ok_and(|doubled| doubled.zone_of(name))
        };
        let needless = self.scope.searches.iter().any(searched);
        needless.then(|| Answer::empty(ResponseCode::NXDomain))
    }

    fn in_zone(&self, name: &Name, kind: RecordType) -> Answer {
        let zone = &self.records.zone;
        let labels = names::below(name, zone);
        let labels: Option<Vec<&str>> = labels
            .as_ref()
            .map(|labels| labels.iter().map(String::as_str).collect());
        let Some(labels) = labels else {
            return self.nothing(ResponseCode::NXDomain, zone.clone());
        };
        if labels.is_empty() {
            return self.apex(name, kind);
        }
        let Some(items) = self.records.at(&labels) else {
            return self.nothing(ResponseCode::NXDomain, zone.clone());
        };
        let mut answer = Answer::empty(ResponseCode::NoError);
        for item in items {
            self.say(&mut answer, name, kind, item);
        }
        if answer.answers.is_empty() {
            return self.nothing(ResponseCode::NoError, zone.clone());
        }
        answer
    }

    /// Adds an item to an answer, if it is of the kind asked for.
    fn say(&self, answer: &mut Answer, name: &Name, kind: RecordType, item: Item) {
        let any = kind == RecordType::ANY;
        match item {
            Item::Address(ip) => {
                let data = address(ip);
                if any || data.record_type() == kind {
                    answer.answers.push(self.record(name.clone(), data));
                }
            }
            Item::Alias(target) => {
                if !any && kind != RecordType::CNAME {
                    answer.alias = Some(target.clone());
                }
                let data = RData::CNAME(CNAME(target));
                answer.answers.push(self.record(name.clone(), data));
            }
            Item::Server {
                port,
                target,
                addresses,
            } => {
                if !any && kind != RecordType::SRV {
                    return;
                }
                if answer.additionals.len() < MOST_ADDITIONAL {
                    let known = answer.additionals.iter().any(|r| r.name == target);
                    let added = addresses.into_iter().filter(|_| !known);
                    let added = added.map(|ip| self.record(target.clone(), address(ip)));
                    answer.additionals.extend(added);
                }
                let data = RData::SRV(SRV::new(0, 100, port, target));
                answer.answers.push(self.record(name.clone(), data));
            }
            Item::Text(text) => {
                if any || kind == RecordType::TXT {
                    let data = RData::TXT(TXT::new(vec![text.to_owned()]));
                    answer.answers.push(self.record(name.clone(), data));
                }
            }
        }
    }

    /// The zone itself.
    fn apex(&self, name: &Name, kind: RecordType) -> Answer {
        let mut answer = Answer::empty(ResponseCode::NoError);
        let any = kind == RecordType::ANY;
        if any || kind == RecordType::SOA {
            answer.answers.push(self.authority(name.clone()));
        }
        if any || kind == RecordType::NS {
            let server = self.name_server();
            let data = RData::NS(NS(server.clone()));
            answer.answers.push(self.record(name.clone(), data));
            let own = self.own_addresses().into_iter();
            let own = own.map(|ip| self.record(server.clone(), address(ip)));
            answer.additionals.extend(own);
        }
        if answer.answers.is_empty() {
            return self.nothing(ResponseCode::NoError, name.clone());
        }
        answer
    }

    fn reverse(&self, name: &Name, ip: IpAddr, kind: RecordType) -> Option<Answer> {
        let range = self.scope.ranges.iter().find(|range| range.contains(ip));
        let names = self.records.names_of(ip);
        let zone = match (range, names.is_empty()) {
            (None, true) => return None,
            (None, false) => name.base_name(),
            (Some(range), _) => names::reverse_zone(name, range.prefix(), ip),
        };
        if names.is_empty() {
            return Some(self.nothing(ResponseCode::NXDomain, zone));
        }
        if kind != RecordType::PTR && kind != RecordType::ANY {
            return Some(self.nothing(ResponseCode::NoError, zone));
        }
        let mut answer = Answer::empty(ResponseCode::NoError);
        let pointers = names.into_iter().map(|to| RData::PTR(PTR(to)));
        answer
            .answers
            .extend(pointers.map(|data| self.record(name.clone(), data)));
        Some(answer)
    }

    /// That there is nothing, and for how long this may be believed.
    fn nothing(&self, code: ResponseCode, zone: Name) -> Answer {
        let mut answer = Answer::empty(code);
        answer.authorities.push(self.authority(zone));
        answer
    }

    fn name_server(&self) -> Name {
        let ObjectKey { namespace, name } = &self.scope.service;
        let zone = &self.records.zone;
        names::join(&[name, namespace, "svc"], zone).unwrap_or_else(|| zone.clone())
    }

    fn authority(&self, zone: Name) -> Record {
        let mail = names::join(&["hostmaster"], &self.records.zone);
        let data = SOA::new(
            self.name_server(),
            mail.unwrap_or_else(|| zone.clone()),
            self.serial,
            REFRESH,
            RETRY,
            EXPIRE,
            self.scope.ttl,
        );
        self.record(zone, RData::SOA(data))
    }

    fn record(&self, name: Name, data: RData) -> Record {
        Record::from_rdata(name, self.scope.ttl, data)
    }
}

/// An address as data.
fn address(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}

#[cfg(test)]
mod tests;
