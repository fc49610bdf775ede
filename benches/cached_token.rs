//! What a cached token costs: through the service's own entrance, and through HTTP next to a bare handler that answers as many bytes.
#![allow(missing_docs, clippy::unwrap_used, reason = "a bench ends where something is wrong")]

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use criterion::{Criterion, criterion_group, criterion_main};
use portvakt::http::{Doors, Lifecycle, Listener, Serving};
use portvakt::tokens::CallerId;

fn entrance(criterion: &mut Criterion) {
    let simulator = support::simulator();
    let service = support::service(&simulator);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(service.tokens.token(&service.request, CallerId(0))).unwrap();
    criterion.bench_function("cached token/service", |bencher| {
        bencher.iter(|| service.tokens.cached(&service.request, Instant::now()).unwrap());
    });
}

fn over_http(criterion: &mut Criterion) {
    let simulator = support::simulator();
    let service = support::service(&simulator);
    let access = support::access(&service);
    let integrations = [(service.request.integration(), "freg".into())];
    let doors = Arc::new(Doors::new(access, service.tokens, service.metrics, &integrations));
    let request = format!(
        "GET /token HTTP/1.1\r\nX-Gravitee-Api-Key: {}\r\nscope: {}\r\niss: {}\r\nhost: 127.0.0.1\r\n\r\n",
        support::API_KEY,
        support::SCOPE,
        support::CLIENT_ID
    );
    let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.address().unwrap();
    let serving = Serving {
        connections: 100,
        grace: Duration::from_secs(1),
        lifecycle: Arc::new(Lifecycle::starting()),
        pulse: None,
        present: tokio::sync::mpsc::channel(1).0,
    };
    let (send, started) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let server = listener.serve_tokens(doors, serving).unwrap();
            send.send(()).unwrap();
            server.await.unwrap();
        });
    });
    started.recv().unwrap();
    let mut connection = Connection::to(address);
    let length = connection.ask(&request);
    let bare = bare(length);
    let mut group = criterion.benchmark_group("cached token");
    group.bench_function("over HTTP", |bencher| bencher.iter(|| connection.ask(&request)));
    let mut connection = Connection::to(bare);
    group.bench_function("bare handler over HTTP", |bencher| bencher.iter(|| connection.ask(&request)));
    group.finish();
}

/// A handler that answers as many bytes from memory, asks nothing and decides nothing.
fn bare(length: usize) -> SocketAddr {
    let (send, started) = mpsc::channel();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let body = web::Bytes::from(vec![b'a'; length]);
            let server = HttpServer::new(move || {
                let body = body.clone();
                let answer = move || {
                    let body = body.clone();
                    async move { HttpResponse::Ok().content_type("application/json").insert_header(("cache-control", "no-store")).body(body) }
                };
                App::new().route("/token", web::get().to(answer))
            });
            let server = server.bind(("127.0.0.1", 0)).unwrap();
            send.send(server.addrs()[0]).unwrap();
            server.run().await.unwrap();
        });
    });
    started.recv().unwrap()
}

/// A connection that is kept, and costs as little as it can.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: vec![0; 16 * 1024] }
    }

    /// Sends a request, reads the answer, and gives the length of its body.
    fn ask(&mut self, request: &str) -> usize {
        self.stream.write_all(request.as_bytes()).unwrap();
        let mut read = 0;
        loop {
            read += self.stream.read(&mut self.buffer[read..]).unwrap();
            let answer = &self.buffer[..read];
            let Some(head) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
            let lines = std::str::from_utf8(&answer[..head]).unwrap();
            let length: usize = lines.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
            if read >= head + 4 + length {
                return length;
            }
        }
    }
}

criterion_group!(benches, entrance, over_http);
criterion_main!(benches);
