//! `[[integration]]`.

use crate::workbench::{Bad, check};

#[test]
fn every_mistake_is_shown_with_its_line() {
    check(&CASES);
}

const CASES: [Bad; 42] = [
    Bad {
        name: "single brackets",
        changes: &[(
            r#"[[integration]]
name = "freg"
client_id = "1111"
environment = "simulator"
prefetch = ["freg:a"]
key = { pkcs12_file = "freg.p12", password_file = "freg.pw" }

[[integration]]
name = "krr""#,
            r#"[integration]
name = "freg""#,
        )],
        expected: "
error: `integration` must be a list of tables, and this is not
 --> portvakt.toml:8:1
  |
8 | [integration]
  | ^^^^^^^^^^^^^
  |
  = help: write `[[integration]]`, with double brackets, on a line of its own before each one
",
    },
    Bad {
        name: "an unknown environment, nearly right",
        changes: &[(r#"environment = "simulator""#, r#"environment = "simulater""#)],
        expected: r#"
error: there is no environment `simulater`
  --> portvakt.toml:11:15
   |
11 | environment = "simulater"
   |               ^^^^^^^^^^^
   |
   = help: write "simulator"
"#,
    },
    Bad {
        name: "an unknown environment, like none",
        changes: &[(r#"environment = "test""#, r#"environment = "ver2""#)],
        expected: r#"
error: there is no environment `ver2`
  --> portvakt.toml:18:15
   |
18 | environment = "ver2"
   |               ^^^^^^
   |
   = help: known here: prod, test, sky-prod, sky-test, simulator; another one is named by a table `[environment.NAME]`
"#,
    },
    Bad {
        name: "no client ID",
        changes: &[(
            r#"client_id = "1111"
"#,
            "",
        )],
        expected: r#"
error: [[integration]] has no `client_id`
 --> portvakt.toml:8:1
  |
8 | [[integration]]
  | ^^^^^^^^^^^^^^^
  |
  = help: write for example `client_id = "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11"`
"#,
    },
    Bad {
        name: "a client ID with a stray space",
        changes: &[(r#""1111""#, r#""1111 ""#)],
        expected: r#"
error: `client_id` begins or ends with a space
  --> portvakt.toml:10:13
   |
10 | client_id = "1111 "
   |             ^^^^^^^
   |
   = help: write `client_id = "1111"`
"#,
    },
    Bad {
        name: "a client ID with a space inside",
        changes: &[(r#""1111""#, r#""11 11""#)],
        expected: r#"
error: `client_id` has a space in it: requests name it in a header, where only printable ASCII without spaces arrives unchanged
  --> portvakt.toml:10:13
   |
10 | client_id = "11 11"
   |             ^^^^^^^
   |
   = help: write for example `client_id = "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11"`
"#,
    },
    Bad {
        name: "a client ID beyond ASCII",
        changes: &[(r#""1111""#, r#""11é11""#)],
        expected: r#"
error: `client_id` has `\u{e9}` in it: requests name it in a header, where only printable ASCII without spaces arrives unchanged
  --> portvakt.toml:10:13
   |
10 | client_id = "11é11"
   |             ^^^^^^^
   |
   = help: write for example `client_id = "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11"`
"#,
    },
    Bad {
        name: "a name that means nothing given",
        changes: &[(r#""krr""#, r#""null""#)],
        expected: r#"
error: `null` in a request means that nothing was given
  --> portvakt.toml:16:8
   |
16 | name = "null"
   |        ^^^^^^
   |
   = help: write for example `name = "freg-test"`
"#,
    },
    Bad {
        name: "an empty name",
        changes: &[(r#""krr""#, r#""""#)],
        expected: r#"
error: `name` is empty
  --> portvakt.toml:16:8
   |
16 | name = ""
   |        ^^
   |
   = help: write for example `name = "freg-test"`
"#,
    },
    Bad {
        name: "a name that metrics use",
        changes: &[(r#""krr""#, r#""none""#)],
        expected: r#"
error: `name` cannot be `none`: metrics say that where nobody is known
  --> portvakt.toml:16:8
   |
16 | name = "none"
   |        ^^^^^^
   |
   = help: write for example `name = "freg-test"`
"#,
    },
    Bad {
        name: "a client ID that no request can bring",
        changes: &[(
            r#""1111""#,
            r#""11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111""#,
        )],
        expected: r#"
error: `client_id` has 257 bytes, and 256 are the most
  --> portvakt.toml:10:13
   |
10 | ... = "11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write for example `client_id = "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11"`
"#,
    },
    Bad {
        name: "two integrations with one client ID",
        changes: &[(r#""2222""#, r#""1111""#)],
        expected: r#"
error: two integrations have the client ID `1111`
  --> portvakt.toml:17:13
   |
10 | client_id = "1111"
   |             ------ the other one
...
17 | client_id = "1111"
   |             ^^^^^^
   |
   = help: give each integration a name and a client ID of its own: a request's `iss` may be either
"#,
    },
    Bad {
        name: "two integrations with one name",
        changes: &[(r#""krr""#, r#""freg""#)],
        expected: r#"
error: two integrations are called `freg`
  --> portvakt.toml:16:8
   |
 9 | name = "freg"
   |        ------ the other one
...
16 | name = "freg"
   |        ^^^^^^
   |
   = help: give each integration a name and a client ID of its own: a request's `iss` may be either
"#,
    },
    Bad {
        name: "a name that is another's client ID",
        changes: &[(r#""krr""#, r#""1111""#)],
        expected: r#"
error: an integration's name is another one's client ID: `1111`
  --> portvakt.toml:16:8
   |
10 | client_id = "1111"
   |             ------ the other one
...
16 | name = "1111"
   |        ^^^^^^
   |
   = help: give each integration a name and a client ID of its own: a request's `iss` may be either
"#,
    },
    Bad {
        name: "an algorithm that Maskinporten does not take",
        changes: &[(
            r#"name = "krr""#,
            r#"name = "krr"
algorithm = "RS265""#,
        )],
        expected: r#"
error: `RS265` is not an algorithm that Maskinporten takes
  --> portvakt.toml:17:13
   |
17 | algorithm = "RS265"
   |             ^^^^^^^
   |
   = help: write "RS256"
"#,
    },
    Bad {
        name: "a grant that lives too long",
        changes: &[(
            r#"name = "krr""#,
            r#"name = "krr"
grant_lifetime = "5m""#,
        )],
        expected: r#"
error: Maskinporten takes no grant that lives longer than 120 s
  --> portvakt.toml:17:18
   |
17 | grant_lifetime = "5m"
   |                  ^^^^
   |
   = help: write for example `grant_lifetime = "60s"`
"#,
    },
    Bad {
        name: "a grant's lifetime in fractions",
        changes: &[(
            r#"name = "krr""#,
            r#"name = "krr"
grant_lifetime = "1500ms""#,
        )],
        expected: r#"
error: a grant's lifetime is in whole seconds
  --> portvakt.toml:17:18
   |
17 | grant_lifetime = "1500ms"
   |                  ^^^^^^^^
   |
   = help: write for example `grant_lifetime = "60s"`
"#,
    },
    Bad {
        name: "a prefetch that is no scope",
        changes: &[(r#""freg:a""#, r#""freg:å""#)],
        expected: r#"
error: `freg:å` is not a scope: a scope has printable ASCII characters other than the double quote and the backslash (RFC 6749 section 3.3), which the character at position 6 is not
  --> portvakt.toml:12:13
   |
12 | prefetch = ["freg:å"]
   |             ^^^^^^^^
   |
   = help: write for example `prefetch = ["folkeregister:deling/offentligutenhjemmel"]`
"#,
    },
    Bad {
        name: "a prefetch that is empty",
        changes: &[(r#""freg:a""#, r#""""#)],
        expected: r#"
error: an empty text names no scope
  --> portvakt.toml:12:13
   |
12 | prefetch = [""]
   |             ^^
   |
   = help: write for example `prefetch = ["folkeregister:deling/offentligutenhjemmel"]`
"#,
    },
    Bad {
        name: "a prefetch of many scopes",
        changes: &[(r#""freg:a""#, r#""freg:*""#)],
        expected: r#"
error: `freg:*` stands for many scopes: a token is asked for by whole ones
  --> portvakt.toml:12:13
   |
12 | prefetch = ["freg:*"]
   |             ^^^^^^^^
   |
   = help: name each scope in full; `*` belongs in a caller's rule
"#,
    },
    Bad {
        name: "a prefetch that is a number",
        changes: &[(r#""freg:a""#, "5")],
        expected: r#"
error: a prefetch is a scope, as text, or a table with its `scope`
  --> portvakt.toml:12:13
   |
12 | prefetch = [5]
   |             ^
   |
   = help: write for example `prefetch = ["folkeregister:deling/offentligutenhjemmel"]`
"#,
    },
    Bad {
        name: "a prefetch without a scope",
        changes: &[(r#""freg:a""#, r#"{ consumer_org = "889640782" }"#)],
        expected: r#"
error: a prefetch has no `scope`
  --> portvakt.toml:12:13
   |
12 | prefetch = [{ consumer_org = "889640782" }]
   |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write for example `scope = "folkeregister:deling/offentligutenhjemmel"`
"#,
    },
    Bad {
        name: "a prefetch for two organisations",
        changes: &[(r#""freg:a""#, r#"{ scope = "freg:a", consumer_org = "889640782", iss_onbehalfof = "889640782" }"#)],
        expected: r#"
error: `consumer_org` and `iss_onbehalfof` together: Maskinporten takes one of them
  --> portvakt.toml:12:78
   |
12 | prefetch = [{ scope = "freg:a", consumer_org = "889640782", iss_onbehalfof = "889640782" }]
   |                                                ----------- the other one     ^^^^^^^^^^^
   |
   = help: leave one of the two out
"#,
    },
    Bad {
        name: "a prefetch for an organisation with its register",
        changes: &[(r#""freg:a""#, r#"{ scope = "freg:a", consumer_org = "0192:889640782" }"#)],
        expected: r#"
error: `0192:889640782` is not an organisation number: nine digits
  --> portvakt.toml:12:48
   |
12 | prefetch = [{ scope = "freg:a", consumer_org = "0192:889640782" }]
   |                                                ^^^^^^^^^^^^^^^^
   |
   = help: write "889640782", without the register's number
"#,
    },
    Bad {
        name: "the same prefetch twice",
        changes: &[(r#""freg:a""#, r#""freg:a freg:b", "freg:b freg:a""#)],
        expected: r#"
error: this token is kept warm already
  --> portvakt.toml:12:30
   |
12 | prefetch = ["freg:a freg:b", "freg:b freg:a"]
   |             ---------------  ^^^^^^^^^^^^^^^
   |             |
   |             the other one
   |
   = help: leave one of the two out
"#,
    },
    Bad {
        name: "no key",
        changes: &[(
            r#"key = { pkcs12_file = "freg.p12", password_file = "freg.pw" }
"#,
            "",
        )],
        expected: r#"
error: [[integration]] has no `key`
 --> portvakt.toml:8:1
  |
8 | [[integration]]
  | ^^^^^^^^^^^^^^^
  |
  = help: write for example `key = { pkcs12_file = "virksomhet.p12", password_file = "virksomhet.pw" }`
"#,
    },
    Bad {
        name: "a key that names no file",
        changes: &[(r#"key = { private_key_file = "krr.pem", kid = "k1" }"#, r#"key = { kid = "k1" }"#)],
        expected: r#"
error: this key names no file that holds it
  --> portvakt.toml:19:7
   |
19 | key = { kid = "k1" }
   |       ^^^^^^^^^^^^^^
   |
   = help: write one of { pkcs12_file, password_file }, { certificate_file, private_key_file }, { private_key_file, kid } or { jwk_file }
"#,
    },
    Bad {
        name: "a key of two forms",
        changes: &[(
            r#"key = { private_key_file = "krr.pem", kid = "k1" }"#,
            r#"key = { pkcs12_file = "freg.p12", private_key_file = "krr.pem", kid = "k1" }"#,
        )],
        expected: r#"
error: this key mixes several forms
  --> portvakt.toml:19:7
   |
19 | key = { pkcs12_file = "freg.p12", private_key_file = "krr.pem", kid = "k1" }
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write one of { pkcs12_file, password_file }, { certificate_file, private_key_file }, { private_key_file, kid } or { jwk_file }
"#,
    },
    Bad {
        name: "a private key without its kid",
        changes: &[(r#"key = { private_key_file = "krr.pem", kid = "k1" }"#, r#"key = { private_key_file = "krr.pem" }"#)],
        expected: r#"
error: `private_key_file` alone: a registered key needs its `kid`, a certificate's key its `certificate_file`
  --> portvakt.toml:19:7
   |
19 | key = { private_key_file = "krr.pem" }
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write one of { pkcs12_file, password_file }, { certificate_file, private_key_file }, { private_key_file, kid } or { jwk_file }
"#,
    },
    Bad {
        name: "a certificate without its key",
        changes: &[(r#"key = { private_key_file = "krr.pem", kid = "k1" }"#, r#"key = { certificate_file = "virksomhet.pem" }"#)],
        expected: r#"
error: `certificate_file` without the `private_key_file` that belongs to it
  --> portvakt.toml:19:7
   |
19 | key = { certificate_file = "virksomhet.pem" }
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write one of { pkcs12_file, password_file }, { certificate_file, private_key_file }, { private_key_file, kid } or { jwk_file }
"#,
    },
    Bad {
        name: "a kid beside a certificate",
        changes: &[(
            r#"key = { private_key_file = "krr.pem", kid = "k1" }"#,
            r#"key = { certificate_file = "virksomhet.pem", private_key_file = "virksomhet.key", kid = "k1" }"#,
        )],
        expected: r#"
error: `kid` beside a certificate: a client with a registered key signs with its `kid`, any other with its certificate
  --> portvakt.toml:19:7
   |
19 | key = { certificate_file = "virksomhet.pem", private_key_file = "virksomhet.key", kid = "k1" }
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write one of { pkcs12_file, password_file }, { certificate_file, private_key_file }, { private_key_file, kid } or { jwk_file }
"#,
    },
    Bad {
        name: "a JWK with a kid",
        changes: &[(r#"key = { private_key_file = "krr.pem", kid = "k1" }"#, r#"key = { jwk_file = "krr.jwk", kid = "k1" }"#)],
        expected: r#"
error: `kid` beside `jwk_file`: a JWK has its own `kid`
  --> portvakt.toml:19:7
   |
19 | key = { jwk_file = "krr.jwk", kid = "k1" }
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write one of { pkcs12_file, password_file }, { certificate_file, private_key_file }, { private_key_file, kid } or { jwk_file }
"#,
    },
    Bad {
        name: "a JWK with a password",
        changes: &[(
            r#"key = { private_key_file = "krr.pem", kid = "k1" }"#,
            r#"key = { jwk_file = "krr.jwk", password_file = "freg.pw" }"#,
        )],
        expected: r#"
error: `password_file` beside `jwk_file`: a JWK has no password
  --> portvakt.toml:19:47
   |
19 | key = { jwk_file = "krr.jwk", password_file = "freg.pw" }
   |                                               ^^^^^^^^^
   |
   = help: leave `password_file` out
"#,
    },
    Bad {
        name: "a choice where there is none",
        changes: &[(
            r#"key = { private_key_file = "krr.pem", kid = "k1" }"#,
            r#"key = { jwk_file = "krr.jwk", certificate_sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }"#,
        )],
        expected: r#"
error: `certificate_sha256` chooses among the pairs of a `pkcs12_file`, and there is none
  --> portvakt.toml:19:52
   |
19 | key = { jwk_file = "krr.jwk", certificate_sha256 = "0000000000000000000000000000000000000000000000000000000000000000" }
   |                                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: leave `certificate_sha256` out
"#,
    },
    Bad {
        name: "a fingerprint too short",
        changes: &[(
            r#"key = { pkcs12_file = "freg.p12", password_file = "freg.pw" }"#,
            r#"key = { pkcs12_file = "freg.p12", certificate_sha256 = "00ff" }"#,
        )],
        expected: r#"
error: `certificate_sha256` is not a SHA-256: 64 hex digits
  --> portvakt.toml:13:56
   |
13 | key = { pkcs12_file = "freg.p12", certificate_sha256 = "00ff" }
   |                                                        ^^^^^^
   |
   = help: write what `openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE` prints after the `=`
"#,
    },
    Bad {
        name: "a key's file as text",
        changes: &[(r#"key = { private_key_file = "krr.pem", kid = "k1" }"#, r#"key = "krr.pem""#)],
        expected: "
error: `key` must be a table that says in which file the key is
  --> portvakt.toml:19:7
   |
19 | key = *********
   |       ^^^^^^^^^
   |
   = help: write one of { pkcs12_file, password_file }, { certificate_file, private_key_file }, { private_key_file, kid } or { jwk_file }
",
    },
    Bad {
        name: "an unknown key in a key",
        changes: &[(r#"key = { private_key_file = "krr.pem", kid = "k1" }"#, r#"key = { private_key_fil = "krr.pem", kid = "k1" }"#)],
        expected: r#"
error: unknown key `private_key_fil` in `key`
  --> portvakt.toml:19:9
   |
19 | key = { private_key_fil = *********, kid = "k1" }
   |         ^^^^^^^^^^^^^^^
   |
   = help: write `private_key_file`
"#,
    },
    Bad {
        name: "a key file that is not there",
        changes: &[("krr.pem", "no-such.pem")],
        expected: r#"
error: cannot use `no-such.pem`: No such file or directory (os error 2)
  --> portvakt.toml:19:28
   |
19 | key = { private_key_file = "no-such.pem", kid = "k1" }
   |                            ^^^^^^^^^^^^^
   |
   = help: correct the name (a relative one is relative to this file), or put the file there
"#,
    },
    Bad {
        name: "a key file that is a directory",
        changes: &[(r#""krr.pem""#, r#"".""#)],
        expected: r#"
error: cannot use `.`: it is not a regular file
  --> portvakt.toml:19:28
   |
19 | key = { private_key_file = ".", kid = "k1" }
   |                            ^^^
   |
   = help: name the file that holds it
"#,
    },
    Bad {
        name: "an empty key file",
        changes: &[("krr.pem", "empty")],
        expected: r#"
error: cannot use `empty`: it is empty
  --> portvakt.toml:19:28
   |
19 | key = { private_key_file = "empty", kid = "k1" }
   |                            ^^^^^^^
   |
   = help: name the file that holds it
"#,
    },
    Bad {
        name: "a password file with a line break alone",
        changes: &[("freg.pw", "line-break")],
        expected: r#"
error: `line-break` holds a line break and nothing else
  --> portvakt.toml:13:51
   |
13 | key = { pkcs12_file = "freg.p12", password_file = "line-break" }
   |                                                   ^^^^^^^^^^^^
   |
   = help: write the password into it
"#,
    },
    Bad {
        name: "a password that is not UTF-8",
        changes: &[("freg.pw", "latin-1.pw")],
        expected: r#"
error: `latin-1.pw` is not a password in UTF-8
  --> portvakt.toml:13:51
   |
13 | key = { pkcs12_file = "freg.p12", password_file = "latin-1.pw" }
   |                                                   ^^^^^^^^^^^^
   |
   = help: save it as UTF-8 text, without a byte order mark
"#,
    },
];
