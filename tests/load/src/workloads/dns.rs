//! Asks cluster DNS over UDP, as resolvers in pods do: for the address of a Service, and for a
//! name that isn't there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use serde_json::Value;
use tokio::net::UdpSocket;

use crate::api::{Api, ApiError, Call};
use crate::failure::{Failure, OrFail};
use crate::report::Measurement;
use crate::workers;
use crate::workload::{Context, Workload};

/// How long an answer may take: a resolver gives up after 5 s.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same when it is not known whether the server can be reached from here.
const LOOK: Duration = Duration::from_secs(1);
/// The server's port.
const PORT: u16 = 53;
/// Largest answer over UDP to who doesn't ask for more (RFC 1035, 4.2.1).
const ANSWER: usize = 512;

/// See the module.
pub(super) struct Dns;

impl Workload for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn about(&self) -> &'static str {
        "asks cluster DNS --queries times, --concurrency at a time, where it can be reached"
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Result<Vec<Measurement>, Failure>> {
        Box::pin(run(context))
    }
}

/// A question, and what is to be answered.
#[derive(Debug, Clone)]
struct Question {
    name: Name,
    /// The address; none where there is no such name.
    expected: Option<IpAddr>,
}

async fn run(context: &Context) -> Result<Vec<Measurement>, Failure> {
    let api = context.api(0);
    let options = &context.sizes.dns;
    let service = service_address(api, "default", "kubernetes").await?;
    let Some(service) = service else {
        let why = "the Service default/kubernetes has no address";
        return Ok(vec![context.left_out("dns", why)]);
    };
    let of_service = question(&format!(
        "kubernetes.default.svc.{}.",
        options.cluster_domain
    ))?;
    let of_service = Question {
        expected: Some(service),
        ..of_service
    };
    let missing = format!(
        "load-{}.default.svc.{}.",
        context.id, options.cluster_domain
    );
    let missing = question(&missing)?;

    let address = match options.dns_server {
        Some(address) => Some(address),
        None => service_address(api, "kube-system", "kube-dns").await?,
    };
    let Some(address) = address else {
        let why = "there is no Service kube-system/kube-dns (--dns-server)";
        return Ok(vec![context.left_out("dns", why)]);
    };
    let server = SocketAddr::new(address, PORT);
    if let Err(error) = look(server, &of_service).await {
        let way_out = "run the tool on a node, or name an address:  --dns-server ADDRESS";
        if options.dns_server.is_some() {
            return Err(Failure::new(format!("ask {server}"), &error, way_out));
        }
        let why = format!("cluster DNS can't be asked from here ({error}): {way_out}");
        return Ok(vec![context.left_out("dns", &why)]);
    }
    Ok(vec![
        ask_all(context, "a Service's address", server, of_service).await?,
        ask_all(context, "a name that isn't there", server, missing).await?,
    ])
}

/// The address of a Service, if there is one and it has one.
async fn service_address(
    api: &Api,
    namespace: &str,
    name: &str,
) -> Result<Option<IpAddr>, Failure> {
    let path = format!("/api/v1/namespaces/{namespace}/services/{name}");
    let answer = match api.send(&Call::get(&path)).await {
        Err(error) if error.code() == Some(404) => return Ok(None),
        answer => answer.and_then(|answer| answer.json()),
    };
    let service: Value = answer.or_fail(|| format!("read {path}"))?;
    let address = service["spec"]["clusterIP"].as_str();
    Ok(address.and_then(|address| address.parse().ok()))
}

fn question(name: &str) -> Result<Question, Failure> {
    let parsed = Name::from_ascii(name).map_err(|error| {
        let way_out = "name the domain as the nodes' kubelets have it:  --cluster-domain DOMAIN";
        Failure::new(format!("ask for {name}"), error, way_out)
    })?;
    Ok(Question {
        name: parsed,
        expected: None,
    })
}

async fn open(server: SocketAddr) -> Result<UdpSocket, ApiError> {
    let own: IpAddr = match server.is_ipv4() {
        true => Ipv4Addr::UNSPECIFIED.into(),
        false => Ipv6Addr::UNSPECIFIED.into(),
    };
    let open = async {
        let socket = UdpSocket::bind((own, 0)).await?;
        socket.connect(server).await?;
        Ok::<_, std::io::Error>(socket)
    };
    open.await.map_err(|error| unreachable(server, &error))
}

fn unreachable(server: SocketAddr, why: &dyn ToString) -> ApiError {
    ApiError::Unreachable {
        url: server.to_string(),
        why: why.to_string(),
    }
}

/// Whether the server answers rightly; a packet may be lost.
async fn look(server: SocketAddr, question: &Question) -> Result<(), ApiError> {
    let socket = open(server).await?;
    let mut last = Ok(());
    for _ in 0..3 {
        last = ask(&socket, server, question, LOOK).await.map(drop);
        if last.is_ok() {
            break;
        }
    }
    last
}

async fn ask_all(
    context: &Context,
    what: &str,
    server: SocketAddr,
    question: Question,
) -> Result<Measurement, Failure> {
    let concurrency = context.sizes.concurrency.get();
    // One each, as so many pods have.
    let mut sockets = Vec::new();
    for _ in 0..concurrency {
        let socket = open(server).await;
        sockets.push(Arc::new(socket.or_fail(|| format!("ask {server}"))?));
    }
    let total = context.sizes.queries.get();
    let asking = context.begin(what, total);
    let measuring = Arc::clone(&asking);
    let question = Arc::new(question);
    let work = move |worker: usize, _: u64| {
        let socket = sockets.get(worker).cloned();
        let (measuring, question) = (Arc::clone(&measuring), Arc::clone(&question));
        async move {
            let Some(socket) = socket else { return };
            let began = Instant::now();
            let answer = ask(&socket, server, &question, PATIENCE).await;
            if let Some(answer) = measuring.took(began.elapsed(), answer)
                && let Some(complaint) = complaint(&answer, &question)
            {
                measuring.violation(complaint);
            }
        }
    };
    workers::each(total, concurrency, work).await;
    Ok(asking.finish())
}

/// Asks, and waits for the answer of just this question.
async fn ask(
    socket: &UdpSocket,
    server: SocketAddr,
    question: &Question,
    patience: Duration,
) -> Result<Message, ApiError> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    let query = Query::query(question.name.clone(), RecordType::A);
    message.queries.push(query);
    let id = message.metadata.id;
    let broken = |why: &dyn ToString| ApiError::Broken {
        call: format!("ask {server} for {}", question.name),
        why: why.to_string(),
    };
    let bytes = message.to_vec().map_err(|error| broken(&error))?;
    let exchange = async {
        socket.send(&bytes).await.map_err(|error| broken(&error))?;
        let mut buffer = [0; ANSWER];
        loop {
            let received = socket.recv(&mut buffer).await;
            let length = received.map_err(|error| broken(&error))?;
            let answer = Message::from_vec(buffer.get(..length).unwrap_or_default());
            let answer = answer.map_err(|error| broken(&error))?;
            // That of an earlier one may come late.
            if answer.metadata.id == id {
                return Ok(answer);
            }
        }
    };
    match tokio::time::timeout(patience, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(broken(&format!(
            "no answer within {} s",
            patience.as_secs()
        ))),
    }
}

/// What is wrong with an answer.
fn complaint(answer: &Message, question: &Question) -> Option<String> {
    let name = &question.name;
    let code = answer.metadata.response_code;
    let Some(expected) = question.expected else {
        let is_missing = code == ResponseCode::NXDomain && answer.answers.is_empty();
        return (!is_missing).then(|| format!("{name} isn't there and was answered by {code}"));
    };
    let addresses = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::from(address.0)),
            _ => None,
        });
    let addresses: Vec<IpAddr> = addresses.collect();
    let is_right = code == ResponseCode::NoError && addresses == [expected];
    (!is_right).then(|| format!("{name} is {expected} and was answered by {code} {addresses:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::A;

    fn answer(code: ResponseCode, address: Option<A>) -> Message {
        let mut message = Message::response(7, OpCode::Query);
        message.metadata.response_code = code;
        let name = Name::from_ascii("a.").unwrap();
        let record = address.map(|it| Record::from_rdata(name, 5, RData::A(it)));
        message.answers.extend(record);
        message
    }

    #[test]
    fn an_answer_is_the_address_or_that_there_is_none() {
        let missing = question("a.").unwrap();
        let there = Question {
            expected: Some("10.96.0.1".parse().unwrap()),
            ..missing.clone()
        };
        let right = answer(ResponseCode::NoError, Some(A::new(10, 96, 0, 1)));
        assert_eq!(complaint(&right, &there), None);
        assert!(complaint(&right, &missing).is_some());
        let none = answer(ResponseCode::NXDomain, None);
        assert_eq!(complaint(&none, &missing), None);
        assert!(complaint(&none, &there).is_some());
        for wrong in [
            answer(ResponseCode::NoError, Some(A::new(10, 96, 0, 2))),
            answer(ResponseCode::NoError, None),
            answer(ResponseCode::ServFail, None),
        ] {
            assert!(complaint(&wrong, &there).is_some());
            assert!(complaint(&wrong, &missing).is_some());
        }
    }

    #[tokio::test]
    async fn a_late_answer_of_another_question_is_passed_over() {
        let server = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let at = server.local_addr().unwrap();
        let question = question("a.").unwrap();
        let serve = async {
            let mut buffer = [0; ANSWER];
            let (length, client) = server.recv_from(&mut buffer).await.unwrap();
            let asked = Message::from_vec(&buffer[..length]).unwrap();
            let id = asked.metadata.id;
            for id in [id.wrapping_add(1), id] {
                let answer = Message::error_msg(id, OpCode::Query, ResponseCode::NXDomain);
                server
                    .send_to(&answer.to_vec().unwrap(), client)
                    .await
                    .unwrap();
            }
            id
        };
        let socket = open(at).await.unwrap();
        let (id, answer) = tokio::join!(serve, ask(&socket, at, &question, PATIENCE));
        assert_eq!(answer.unwrap().metadata.id, id);
    }

    #[tokio::test]
    async fn silence_ends() {
        let server = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        let at = server.local_addr().unwrap();
        let socket = open(at).await.unwrap();
        let question = question("a.").unwrap();
        let silent = ask(&socket, at, &question, Duration::from_millis(10)).await;
        assert_eq!(silent.unwrap_err().sort(), "no answer");
    }
}
