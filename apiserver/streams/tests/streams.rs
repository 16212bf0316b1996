//! exec, attach, port-forward and plain HTTP through real sockets.

mod common;

use bytes::Bytes;
use common::{Client, Seen, apiserver, kubelet, send, soon, tls, websocket};
use futures_util::{SinkExt, StreamExt};
use hardway_streams::Upstream;
use hardway_streams::spdy::{Codec, Frame};
use hardway_streams::upgrade::Service;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::codec::Framed;

const EXEC: &str = "/exec/default/web/app?command=sh&input=1&output=1&error=1";

async fn start(path: &str, service: Service) -> (SocketAddr, UnboundedReceiver<Seen>) {
    let tls = tls();
    let (address, seen) = kubelet(tls.server).await;
    let upstream = Upstream {
        address: address.to_string(),
        server_name: "127.0.0.1".into(),
        common_name: None,
        tls: Some(tls.client),
        path_and_query: path.into(),
    };
    (apiserver(upstream, Some(service)).await, seen)
}

async fn binary(client: &mut Client) -> Option<Vec<u8>> {
    loop {
        match soon(client.next()).await {
            Some(Ok(Message::Binary(bytes))) => return Some(bytes.to_vec()),
            Some(Ok(Message::Text(text))) => return Some(text.as_bytes().to_vec()),
            Some(Ok(Message::Close(frame))) => {
                assert_eq!(u16::from(frame.expect("a close code").code), 1000);
                return None;
            }
            Some(Ok(_)) => {}
            other => panic!("connection ended without a close: {other:?}"),
        }
    }
}

#[tokio::test]
async fn exec_over_websocket_v5_closes_stdin() {
    let (address, mut seen) = start(EXEC, Service::Command).await;
    let mut client = websocket(address, "/api/exec", "v5.channel.k8s.io")
        .await
        .unwrap();
    assert_eq!(
        soon(seen.recv()).await,
        Some(Seen::Request {
            path: EXEC.into(),
            protocol: "v4.channel.k8s.io".into()
        })
    );
    assert_eq!(binary(&mut client).await.unwrap(), [1], "the greeting");
    client
        .send(Message::binary(b"\x00hello".to_vec()))
        .await
        .unwrap();
    assert_eq!(binary(&mut client).await.unwrap(), b"\x01HELLO");
    let large = vec![b'x'; 300_000];
    client
        .send(Message::binary([&[0][..], &large].concat()))
        .await
        .unwrap();
    let mut got = 0;
    while got < large.len() {
        let message = binary(&mut client).await.unwrap();
        assert_eq!(message[0], 1);
        got += message.len() - 1;
    }
    client.send(Message::binary(vec![255, 0])).await.unwrap();
    let status = binary(&mut client).await.unwrap();
    assert_eq!(status[0], 3);
    assert!(String::from_utf8_lossy(&status).contains(r#""status":"Success""#));
    // The kubelet's connection ends; the client's is closed in good order.
    assert_eq!(binary(&mut client).await, None);
}

#[tokio::test]
async fn exit_codes_pass_in_the_words_of_each_protocol() {
    for (protocol, input, wanted) in [
        (
            "v4.channel.k8s.io",
            Message::binary(b"\x00exit".to_vec()),
            "\u{3}{\"metadata\":{},\"status\":\"Failure\"",
        ),
        (
            "channel.k8s.io",
            Message::binary(b"\x00exit".to_vec()),
            "\u{3}command terminated with non-zero exit code",
        ),
        (
            "v4.base64.channel.k8s.io",
            Message::text("0ZXhpdA=="),
            "3eyJtZXRhZGF0YSI6e30s",
        ),
    ] {
        let (address, _seen) = start(EXEC, Service::Command).await;
        let mut client = websocket(address, "/api/exec", protocol).await.unwrap();
        client.send(input).await.unwrap();
        let mut last = Vec::new();
        while let Some(message) = binary(&mut client).await {
            last = message;
        }
        let last = String::from_utf8(last).unwrap();
        assert!(last.starts_with(wanted), "{protocol}: {last}");
    }
}

#[tokio::test]
async fn terminals_are_resized_and_the_kubelet_learns_when_the_client_goes() {
    let path = "/exec/default/web/app?command=sh&input=1&output=1&tty=1";
    let (address, mut seen) = start(path, Service::Command).await;
    let mut client = websocket(address, "/api/exec", "v5.channel.k8s.io")
        .await
        .unwrap();
    soon(seen.recv()).await.unwrap();
    let size = r#"{"Width":80,"Height":24}"#;
    client
        .send(Message::binary([&[4], size.as_bytes()].concat()))
        .await
        .unwrap();
    assert_eq!(soon(seen.recv()).await, Some(Seen::Resize(size.into())));
    drop(client);
    assert_eq!(soon(seen.recv()).await, Some(Seen::Gone));
}

#[tokio::test]
async fn a_websocket_is_not_opened_for_what_the_kubelet_refuses() {
    let (address, _seen) = start("/missing", Service::Command).await;
    let refused = websocket(address, "/api/exec", "v5.channel.k8s.io")
        .await
        .unwrap_err();
    assert_eq!(
        refused,
        (StatusCode::NOT_FOUND, "container not found".into())
    );
    let (address, _seen) = start(EXEC, Service::Command).await;
    let refused = websocket(address, "/api/exec", "v9.channel.k8s.io")
        .await
        .unwrap_err();
    assert_eq!(refused.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn spdy_clients_get_a_tunnel() {
    let (address, mut seen) = start(EXEC, Service::Command).await;
    let request = Request::post("/api/exec")
        .header("connection", "Upgrade")
        .header("upgrade", "SPDY/3.1")
        .header("authorization", "Bearer secret")
        .header("x-stream-protocol-version", "v4.channel.k8s.io");
    let mut response = send(address, request).await;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(
        response.headers()["x-stream-protocol-version"],
        "v4.channel.k8s.io"
    );
    let io = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    speak_spdy(Framed::new(io, Codec::default()), "stdin").await;
    assert!(matches!(
        soon(seen.recv()).await,
        Some(Seen::Request { .. })
    ));
    assert_eq!(soon(seen.recv()).await, Some(Seen::Gone));
}

/// Opens an error stream, a stdout stream and one of this kind, and writes.
async fn speak_spdy<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    mut connection: Framed<T, Codec>,
    kind: &str,
) {
    for (stream, kind) in [(1, "error"), (3, "stdout"), (5, kind)] {
        let open = Frame::SynStream {
            stream,
            headers: vec![("streamtype".into(), kind.into())],
            fin: false,
        };
        connection.send(open).await.unwrap();
    }
    let data = Frame::Data {
        stream: 5,
        data: Bytes::from_static(b"hello"),
        fin: true,
    };
    connection.send(data).await.unwrap();
    loop {
        match soon(connection.next()).await.unwrap().unwrap() {
            Frame::Data { data, .. } => {
                assert!(data.eq_ignore_ascii_case(b"hello"));
                return;
            }
            Frame::SynReply { .. } | Frame::Ping(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn port_forward_tunnels_spdy_in_websocket_messages() {
    let (address, mut seen) = start("/portForward/default/web", Service::PortForward).await;
    let client = websocket(address, "/api/portforward", "SPDY/3.1+portforward.k8s.io")
        .await
        .unwrap();
    assert_eq!(
        soon(seen.recv()).await,
        Some(Seen::Request {
            path: "/portForward/default/web".into(),
            protocol: "portforward.k8s.io".into()
        })
    );
    // Bytes of the SPDY connection, cut anywhere, are the messages.
    let (mut ours, theirs) = tokio::io::duplex(1000);
    let (mut to, mut from) = client.split();
    let (mut read, mut write) = tokio::io::split(theirs);
    let pump = async {
        let out = async {
            let mut buffer = [0; 7];
            while let Ok(n @ 1..) = read.read(&mut buffer).await {
                to.send(Message::binary(buffer[..n].to_vec()))
                    .await
                    .unwrap();
            }
        };
        let back = async {
            while let Some(Ok(message)) = from.next().await {
                if let Message::Binary(bytes) = message {
                    write.write_all(&bytes).await.unwrap();
                }
            }
        };
        tokio::join!(out, back)
    };
    tokio::select! {
        () = speak_spdy(Framed::new(&mut ours, Codec::default()), "data") => {}
        _ = pump => panic!("tunnel ended"),
    }
}

#[tokio::test]
async fn port_forward_of_older_clients_has_a_channel_for_each_port() {
    let (address, mut seen) = start("/portForward/default/web", Service::PortForward).await;
    let mut client = websocket(
        address,
        "/api/portforward?ports=80,8080",
        "v4.channel.k8s.io",
    )
    .await
    .unwrap();
    soon(seen.recv()).await.unwrap();
    for greeting in [[0, 80, 0], [1, 80, 0], [2, 0x90, 0x1f], [3, 0x90, 0x1f]] {
        assert_eq!(binary(&mut client).await.unwrap(), greeting);
    }
    client
        .send(Message::binary(b"\x02GET /".to_vec()))
        .await
        .unwrap();
    assert_eq!(binary(&mut client).await.unwrap(), b"\x02GET /");
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let upstream = Upstream {
        address: address.clone(),
        server_name: "127.0.0.1".into(),
        common_name: None,
        tls: None,
        path_and_query: EXEC.into(),
    };
    let front = apiserver(upstream.clone(), Some(Service::Command)).await;
    let refused = websocket(front, "/", "v5.channel.k8s.io")
        .await
        .unwrap_err();
    let dial = format!("dial tcp {address}: connect: connection refused");
    assert_eq!(
        refused,
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("error dialing backend: {dial}")
        )
    );
    let front = apiserver(upstream, None).await;
    let response = send(front, Request::get("/")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, format!("error trying to reach service: {dial}"));
}

#[tokio::test]
async fn a_kubelet_with_another_certificate_is_not_trusted() {
    let (address, _seen) = kubelet(tls().server).await;
    let upstream = Upstream {
        address: address.to_string(),
        server_name: "127.0.0.1".into(),
        common_name: None,
        tls: Some(tls().client),
        path_and_query: EXEC.into(),
    };
    let front = apiserver(upstream, Some(Service::Command)).await;
    let (code, message) = websocket(front, "/", "v5.channel.k8s.io")
        .await
        .unwrap_err();
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(message.contains("certificate"), "{message}");
}

#[tokio::test]
async fn a_kubelet_of_another_node_is_not_trusted() {
    let tls = tls();
    let (address, _seen) = kubelet(tls.server).await;
    let upstream = Upstream {
        address: address.to_string(),
        server_name: "127.0.0.1".into(),
        common_name: Some("system:node:n1".into()),
        tls: Some(tls.client),
        path_and_query: EXEC.into(),
    };
    let front = apiserver(upstream, Some(Service::Command)).await;
    let (code, message) = websocket(front, "/", "v5.channel.k8s.io")
        .await
        .unwrap_err();
    assert_eq!(code, 500);
    assert!(message.contains("rather than of"), "{message}");
}

#[tokio::test]
async fn bodies_stream_as_they_come() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream {
        address: listener.local_addr().unwrap().to_string(),
        server_name: "127.0.0.1".into(),
        common_name: None,
        tls: None,
        path_and_query: "/containerLogs/default/web/app?follow=true".into(),
    };
    let front = apiserver(upstream, None).await;
    let asking = tokio::spawn(send(front, Request::get("/log")));
    let (mut upstream, _) = soon(listener.accept()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(upstream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"GET /containerLogs/default/web/app?follow=true HTTP/1.1\r\n"));
    upstream
        .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n")
        .await
        .unwrap();
    let mut body = soon(asking).await.unwrap().into_body();
    // Each line arrives before the next is written.
    for line in ["one\n", "two\n", "end\n"] {
        let frame = soon(body.frame())
            .await
            .unwrap()
            .unwrap()
            .into_data()
            .unwrap();
        assert_eq!(frame, line);
        let next: &[u8] = match line {
            "one\n" => b"4\r\ntwo\n\r\n",
            "two\n" => b"4\r\nend\n\r\n",
            _ => b"0\r\n\r\n",
        };
        upstream.write_all(next).await.unwrap();
    }
    assert!(soon(body.frame()).await.is_none());
}
