//! `[server]`, `[management]`, `[outbound]`, `[cache]` and `[environment.NAME]`.

use crate::workbench::{Bad, check};

#[test]
fn every_mistake_is_shown_with_its_line() {
    check(&CASES);
}

const CASES: [Bad; 34] = [
    Bad {
        name: "an unknown key, nearly right",
        changes: &[(
            r#"listen = "127.0.0.1:8080""#,
            r#"lisen = "127.0.0.1:8080"
listen = "127.0.0.1:8080""#,
        )],
        expected: r#"
error: unknown key `lisen` in [server]
 --> portvakt.toml:2:1
  |
2 | lisen = "127.0.0.1:8080"
  | ^^^^^
  |
  = help: write `listen`
"#,
    },
    Bad {
        name: "an unknown key, like none",
        changes: &[(
            r#"listen = "127.0.0.1:8080""#,
            r#"listen = "127.0.0.1:8080"
tls = { certificate_file = "a" }"#,
        )],
        expected: r#"
error: unknown key `tls` in [server]
 --> portvakt.toml:3:1
  |
3 | tls = { certificate_file = "a" }
  | ^^^
  |
  = help: known here: listen, shutdown_grace, shutdown_delay
"#,
    },
    Bad {
        name: "an unknown table",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"

[managment]
listen = "127.0.0.1:9464""#,
        )],
        expected: "
error: unknown key `managment` in the file
 --> portvakt.toml:4:2
  |
4 | [managment]
  |  ^^^^^^^^^
  |
  = help: write `management`
",
    },
    Bad {
        name: "no listen",
        changes: &[(
            r#"listen = "127.0.0.1:8080"
"#,
            "",
        )],
        expected: r#"
error: [server] has no `listen`
 --> portvakt.toml:1:1
  |
1 | [server]
  | ^^^^^^^^
  |
  = help: write for example `listen = "127.0.0.1:8080"`
"#,
    },
    Bad {
        name: "listen with a port alone",
        changes: &[(r#"listen = "127.0.0.1:8080""#, r#"listen = "8080""#)],
        expected: r#"
error: `8080` is a port alone: an address is needed too
 --> portvakt.toml:2:10
  |
2 | listen = "8080"
  |          ^^^^^^
  |
  = help: write for example `listen = "127.0.0.1:8080"`, or "0.0.0.0:8080" to listen on all addresses
"#,
    },
    Bad {
        name: "listen with a host name",
        changes: &[(r#"listen = "127.0.0.1:8080""#, r#"listen = "localhost:8080""#)],
        expected: r#"
error: `localhost` is a host name: an IP address of this machine is needed
 --> portvakt.toml:2:10
  |
2 | listen = "localhost:8080"
  |          ^^^^^^^^^^^^^^^^
  |
  = help: write for example `listen = "127.0.0.1:8080"`, or "0.0.0.0:8080" to listen on all addresses
"#,
    },
    Bad {
        name: "listen without an address",
        changes: &[(r#"listen = "127.0.0.1:8080""#, r#"listen = ":8080""#)],
        expected: r#"
error: `:8080` has no address before the port
 --> portvakt.toml:2:10
  |
2 | listen = ":8080"
  |          ^^^^^^^
  |
  = help: write for example `listen = "127.0.0.1:8080"`, or "0.0.0.0:8080" to listen on all addresses
"#,
    },
    Bad {
        name: "listen without a port",
        changes: &[(r#"listen = "127.0.0.1:8080""#, r#"listen = "127.0.0.1""#)],
        expected: r#"
error: `127.0.0.1` is an address alone: a port is needed too
 --> portvakt.toml:2:10
  |
2 | listen = "127.0.0.1"
  |          ^^^^^^^^^^^
  |
  = help: write for example `listen = "127.0.0.1:8080"`, or "0.0.0.0:8080" to listen on all addresses
"#,
    },
    Bad {
        name: "listen as a number",
        changes: &[(r#"listen = "127.0.0.1:8080""#, "listen = 8080")],
        expected: r#"
error: `listen` must be text in quotes, and this is a whole number
 --> portvakt.toml:2:10
  |
2 | listen = 8080
  |          ^^^^
  |
  = help: write for example `listen = "127.0.0.1:8080"`
"#,
    },
    Bad {
        name: "both listeners at one address",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[management]
listen = "127.0.0.1:8080""#,
        )],
        expected: r#"
error: [server] and [management] cannot both listen on port 8080 of the same address
 --> portvakt.toml:4:10
  |
2 | listen = "127.0.0.1:8080"
  |          ---------------- [server] listens here
3 | [management]
4 | listen = "127.0.0.1:8080"
  |          ^^^^^^^^^^^^^^^^
  |
  = help: give [management] a port of its own
"#,
    },
    Bad {
        name: "the server where management listens by default",
        changes: &[(r#"listen = "127.0.0.1:8080""#, r#"listen = "0.0.0.0:9464""#)],
        expected: r#"
error: [server] and [management] cannot both listen on port 9464 of the same address: 127.0.0.1:9464 is where [management] listens when the file does not say
 --> portvakt.toml:2:10
  |
2 | listen = "0.0.0.0:9464"
  |          ^^^^^^^^^^^^^^
  |
  = help: take another port, or write `listen` in [management] too
"#,
    },
    Bad {
        name: "a duration without its unit",
        changes: &[(
            r#"listen = "127.0.0.1:8080""#,
            r#"listen = "127.0.0.1:8080"
shutdown_grace = 30"#,
        )],
        expected: r#"
error: `shutdown_grace` must be a duration with its unit, as text in quotes
 --> portvakt.toml:3:18
  |
3 | shutdown_grace = 30
  |                  ^^
  |
  = help: write for example `shutdown_grace = "30s"`
"#,
    },
    Bad {
        name: "a duration with an unknown unit",
        changes: &[(
            r#"listen = "127.0.0.1:8080""#,
            r#"listen = "127.0.0.1:8080"
shutdown_grace = "30 seks""#,
        )],
        expected: r#"
error: `30 seks` is not a duration: a number and its unit (ms, s, m or h)
 --> portvakt.toml:3:18
  |
3 | shutdown_grace = "30 seks"
  |                  ^^^^^^^^^
  |
  = help: write for example `shutdown_grace = "30s"`
"#,
    },
    Bad {
        name: "a delay without its unit",
        changes: &[(
            r#"listen = "127.0.0.1:8080""#,
            r#"listen = "127.0.0.1:8080"
shutdown_delay = 5"#,
        )],
        expected: r#"
error: `shutdown_delay` must be a duration with its unit, as text in quotes
 --> portvakt.toml:3:18
  |
3 | shutdown_delay = 5
  |                  ^
  |
  = help: write for example `shutdown_delay = "5s"`
"#,
    },
    Bad {
        name: "a delay before the beginning",
        changes: &[(
            r#"listen = "127.0.0.1:8080""#,
            r#"listen = "127.0.0.1:8080"
shutdown_delay = "-5s""#,
        )],
        expected: r#"
error: `-5s` is not a duration: a number and its unit (ms, s, m or h)
 --> portvakt.toml:3:18
  |
3 | shutdown_delay = "-5s"
  |                  ^^^^^
  |
  = help: write for example `shutdown_delay = "5s"`
"#,
    },
    Bad {
        name: "a delay without an end",
        changes: &[(
            r#"listen = "127.0.0.1:8080""#,
            r#"listen = "127.0.0.1:8080"
shutdown_delay = "2h""#,
        )],
        expected: r#"
error: `shutdown_delay` is longer than an hour
 --> portvakt.toml:3:18
  |
3 | shutdown_delay = "2h"
  |                  ^^^^
  |
  = help: write for example `shutdown_delay = "5s"`
"#,
    },
    Bad {
        name: "a deadline of zero",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[outbound]
deadline = "0s""#,
        )],
        expected: r#"
error: `deadline` is zero: nothing could be done within it
 --> portvakt.toml:4:12
  |
4 | deadline = "0s"
  |            ^^^^
  |
  = help: write for example `deadline = "8s"`
"#,
    },
    Bad {
        name: "a deadline that never comes",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[outbound]
deadline = "48h""#,
        )],
        expected: r#"
error: `deadline` is longer than an hour
 --> portvakt.toml:4:12
  |
4 | deadline = "48h"
  |            ^^^^^
  |
  = help: write for example `deadline = "8s"`
"#,
    },
    Bad {
        name: "a password inside the proxy's URL",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[outbound]
proxy = "http://me:hunter2@proxy.example.no:3128""#,
        )],
        expected: "
error: a user or password inside `proxy`
 --> portvakt.toml:4:9
  |
4 | proxy = *****************************************
  |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write the user as `proxy_user`, and the name of a file with the password as `proxy_password_file`
",
    },
    Bad {
        name: "a proxy without a scheme",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[outbound]
proxy = "proxy.example.no:3128""#,
        )],
        expected: r#"
error: `proxy.example.no:3128` is not an http or https URL with a host and a port alone
 --> portvakt.toml:4:9
  |
4 | proxy = "proxy.example.no:3128"
  |         ^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write for example `proxy = "http://proxy.example.no:3128"`
"#,
    },
    Bad {
        name: "a proxy's user without a password",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[outbound]
proxy = "http://proxy.example.no:3128"
proxy_user = "me""#,
        )],
        expected: r#"
error: `proxy_user` without `proxy_password_file`
 --> portvakt.toml:5:14
  |
5 | proxy_user = "me"
  |              ^^^^
  |
  = help: write for example `proxy_password_file = "proxy.pw"`
"#,
    },
    Bad {
        name: "a proxy's password without a user",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[outbound]
proxy = "http://proxy.example.no:3128"
proxy_password_file = "freg.pw""#,
        )],
        expected: r#"
error: `proxy_password_file` without `proxy_user`
 --> portvakt.toml:5:23
  |
5 | proxy_password_file = "freg.pw"
  |                       ^^^^^^^^^
  |
  = help: write for example `proxy_user = "portvakt"`
"#,
    },
    Bad {
        name: "a user without a proxy",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[outbound]
proxy_user = "me"
proxy_password_file = "freg.pw""#,
        )],
        expected: r#"
error: `proxy_user` without `proxy`
 --> portvakt.toml:4:14
  |
4 | proxy_user = "me"
  |              ^^^^
  |
  = help: write for example `proxy = "http://proxy.example.no:3128"`
"#,
    },
    Bad {
        name: "a proxy's password in the file",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[outbound]
proxy_password = "hunter2""#,
        )],
        expected: r#"
error: `proxy_password`: a secret is never in this file, only the name of a file that holds it
 --> portvakt.toml:4:1
  |
4 | proxy_password = *********
  | ^^^^^^^^^^^^^^
  |
  = help: put it in a file of its own, readable by Portvakt alone, and write `proxy_password_file = "FILE"`
"#,
    },
    Bad {
        name: "a CA file that is not there",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[outbound]
ca_file = "extra-ca.pem""#,
        )],
        expected: r#"
error: cannot use `extra-ca.pem`: No such file or directory (os error 2)
 --> portvakt.toml:4:11
  |
4 | ca_file = "extra-ca.pem"
  |           ^^^^^^^^^^^^^^
  |
  = help: correct the name (a relative one is relative to this file), or put the file there
"#,
    },
    Bad {
        name: "no room for tokens",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[cache]
max_tokens = 0"#,
        )],
        expected: "
error: `max_tokens` must be a whole number from 1 on
 --> portvakt.toml:4:14
  |
4 | max_tokens = 0
  |              ^
  |
  = help: write for example `max_tokens = 100_000`
",
    },
    Bad {
        name: "fewer tokens than none",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[cache]
max_tokens = -1"#,
        )],
        expected: "
error: `max_tokens` must be a whole number from 1 on
 --> portvakt.toml:4:14
  |
4 | max_tokens = -1
  |              ^^
  |
  = help: write for example `max_tokens = 100_000`
",
    },
    Bad {
        name: "half a token",
        changes: &[(
            r#"[server]
listen = "127.0.0.1:8080""#,
            r#"[server]
listen = "127.0.0.1:8080"
[cache]
max_tokens = 1.5"#,
        )],
        expected: "
error: `max_tokens` must be a whole number, and this is a number with a fraction
 --> portvakt.toml:4:14
  |
4 | max_tokens = 1.5
  |              ^^^
  |
  = help: write for example `max_tokens = 100_000`
",
    },
    Bad {
        name: "http beyond loopback",
        changes: &[(r#""http://127.0.0.1:8090/token""#, r#""http://maskinporten.example.no/token""#)],
        expected: r#"
error: `http://maskinporten.example.no/token` is plain http, which is refused for anything but loopback: a grant and a token would cross the network in plain text
 --> portvakt.toml:6:18
  |
6 | token_endpoint = "http://maskinporten.example.no/token"
  |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write `https://` in place of `http://`
"#,
    },
    Bad {
        name: "an issuer that is no URL",
        changes: &[(r#"issuer = "http://127.0.0.1:8090/""#, r#"issuer = "maskinporten.no""#)],
        expected: r#"
error: `maskinporten.no` is not an absolute http or https URL with a host and without user, query or fragment
 --> portvakt.toml:5:10
  |
5 | issuer = "maskinporten.no"
  |          ^^^^^^^^^^^^^^^^^
  |
  = help: write for example `issuer = "http://127.0.0.1:8090/"`
"#,
    },
    Bad {
        name: "a password in an issuer",
        changes: &[(r#"issuer = "http://127.0.0.1:8090/""#, r#"issuer = "https://me:hunter2@maskinporten.example.no/""#)],
        expected: r#"
error: `https://**********@maskinporten.example.no/` is not an absolute http or https URL with a host and without user, query or fragment
 --> portvakt.toml:5:10
  |
5 | issuer = "https://**********@maskinporten.example.no/"
  |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write for example `issuer = "http://127.0.0.1:8090/"`
"#,
    },
    Bad {
        name: "an environment named like a built-in one",
        changes: &[("[environment.simulator]", "[environment.test]"), (r#""simulator""#, r#""test""#)],
        expected: "
error: `test` is built in
 --> portvakt.toml:4:14
  |
4 | [environment.test]
  |              ^^^^
  |
  = help: give it another name than prod, test, sky-prod, sky-test
",
    },
    Bad {
        name: "an environment without its endpoint",
        changes: &[(
            r#"token_endpoint = "http://127.0.0.1:8090/token"
"#,
            "",
        )],
        expected: r#"
error: [environment.simulator] has no `token_endpoint`
 --> portvakt.toml:4:1
  |
4 | [environment.simulator]
  | ^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write for example `token_endpoint = "http://127.0.0.1:8090/token"`
"#,
    },
    Bad {
        name: "an environment without a name",
        changes: &[("[environment.simulator]", "[environment]"), (r#""simulator""#, r#""test""#)],
        expected: r#"
error: `issuer` stands in [environment] itself
 --> portvakt.toml:5:1
  |
5 | issuer = "http://127.0.0.1:8090/"
  | ^^^^^^
  |
  = help: an environment has a table of its own: write for example `[environment.simulator]`

error: `token_endpoint` stands in [environment] itself
 --> portvakt.toml:6:1
  |
6 | token_endpoint = "http://127.0.0.1:8090/token"
  | ^^^^^^^^^^^^^^
  |
  = help: an environment has a table of its own: write for example `[environment.simulator]`
"#,
    },
];
