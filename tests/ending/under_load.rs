//! Clients that ask on and on while the service ends: nobody who was taken in is let down.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use rustix::process::Signal;

use crate::support::*;
use crate::{health, token_request, with_server};

const CLIENTS: usize = 4;

/// How one request went.
#[derive(Debug, PartialEq)]
enum Went {
    /// A whole answer with a token; whether it was the last one on its connection.
    Well { is_last: bool },
    /// The connection ended before anything was said.
    Unheard,
}

fn connect(address: SocketAddr) -> Option<TcpStream> {
    let connection = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    Some(connection)
}

fn ask(connection: &mut TcpStream) -> Went {
    if connection.write_all(token_request().as_bytes()).is_err() {
        return Went::Unheard;
    }
    let answer = read_answer(connection);
    if answer.is_empty() {
        return Went::Unheard;
    }
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('}'), "{answer}");
    let is_last = answer.to_ascii_lowercase().contains("\r\nconnection: close\r\n");
    if is_last {
        assert_eq!(connection.read(&mut [0]).unwrap_or(0), 0);
    }
    Went::Well { is_last }
}

/// As a gateway behind a load balancer: who hears that it is not ready goes elsewhere, and a connection that is used up is left.
#[tokio::test]
async fn with_a_delay_nobody_who_heeds_it_fails() {
    let simulator = simulator();
    let mut portvakt = Portvakt::start(&with_server(&simulator, "shutdown_delay = \"3s\"", "10s"));
    portvakt.ask().send().await.token();
    let (tokens, management) = (portvakt.tokens, portvakt.management);
    let (is_ready, answered) = (AtomicBool::new(true), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (is_ready, answered) = (&is_ready, &answered);
            scope.spawn(move || {
                // Half of them keep their connection, half take a new one each time.
                let mut kept = None;
                while is_ready.load(Relaxed) {
                    let mut connection = kept.take().or_else(|| connect(tokens)).expect("it is ready, so it listens");
                    let Went::Well { is_last } = ask(&mut connection) else { panic!("it is ready, and a request failed") };
                    answered.fetch_add(1, Relaxed);
                    if client % 2 == 0 && !is_last {
                        kept = Some(connection);
                    }
                }
            });
        }
        while answered.load(Relaxed) < 500 {
            std::thread::yield_now();
        }
        portvakt.signal(Signal::TERM);
        let before = answered.load(Relaxed);
        while health(management, "ready").status == 200 {}
        // What was asked meanwhile, and what is asked now by those who have not heard of it, is answered.
        while answered.load(Relaxed) < before + 200 {
            std::thread::yield_now();
        }
        is_ready.store(false, Relaxed);
    });
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
}

/// Who heeds nothing may find the listener closed. What is asked on a connection that was taken in is answered, or it was not heard: then
/// nobody listens any more, and the client can ask another instance, as HTTP clients do with a GET.
#[tokio::test]
async fn without_a_delay_what_was_heard_is_answered() {
    let simulator = simulator();
    let mut portvakt = Portvakt::start(&with_server(&simulator, "", "10s"));
    portvakt.ask().send().await.token();
    let tokens = portvakt.tokens;
    let (answered, unheard) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (answered, unheard) = (&answered, &unheard);
            scope.spawn(move || {
                let mut kept = None;
                loop {
                    let Some(mut connection) = kept.take().or_else(|| connect(tokens)) else { break };
                    match ask(&mut connection) {
                        Went::Well { is_last } => {
                            answered.fetch_add(1, Relaxed);
                            if client % 2 == 0 && !is_last {
                                kept = Some(connection);
                            }
                        }
                        Went::Unheard => {
                            unheard.fetch_add(1, Relaxed);
                        }
                    }
                }
            });
        }
        while answered.load(Relaxed) < 500 {
            std::thread::yield_now();
        }
        portvakt.signal(Signal::TERM);
    });
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
    // Between the last look into the queue and its end there are microseconds, in which each of them can come once.
    assert!(unheard.load(Relaxed) <= CLIENTS, "the listener closes on those who wait to be taken in");
}
