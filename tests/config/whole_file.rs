//! Broken TOML, and secrets where none should be.

use crate::workbench::{Bad, check};

#[test]
fn every_mistake_is_shown_with_its_line() {
    check(&CASES);
}

const CASES: [Bad; 16] = [
    Bad {
        name: "text without quotes",
        changes: &[(r#"listen = "127.0.0.1:8080""#, "listen = 127.0.0.1:8080")],
        expected: r#"
error: this is not TOML: text without quotes, or a number that is none
 --> portvakt.toml:2:15
  |
2 | listen = 127.0.0.1:8080
  |               ^^^^^^^^^
  |
  = help: put text in quotes: for example `listen = "127.0.0.1:8080"`
"#,
    },
    Bad {
        name: "a quote that is not closed",
        changes: &[(r#"name = "krr""#, r#"name = "krr"#)],
        expected: r#"
error: this is not TOML: invalid basic string, expected `"`
  --> portvakt.toml:16:12
   |
16 | name = "krr
   |            ^
   |
   = help: close the text with the quote that it begins with, on the same line
"#,
    },
    Bad {
        name: "a table twice",
        changes: &[(
            "[environment.simulator]",
            r#"[server]
listen = "127.0.0.1:8081"

[environment.simulator]"#,
        )],
        expected: r#"
error: `server` is given twice
 --> portvakt.toml:4:2
  |
4 | [server]
  |  ^^^^^^
  |
  = help: keep one of the two; what may stand several times has double brackets, as `[[integration]]`

error: `listen` is given twice
 --> portvakt.toml:5:1
  |
5 | listen = "127.0.0.1:8081"
  | ^^^^^^
  |
  = help: keep one of the two; what may stand several times has double brackets, as `[[integration]]`
"#,
    },
    Bad {
        name: "a key twice",
        changes: &[(
            r#""1111""#,
            r#""1111"
client_id = "3333""#,
        )],
        expected: r#"
error: `client_id` is given twice
  --> portvakt.toml:11:1
   |
11 | client_id = "3333"
   | ^^^^^^^^^
   |
   = help: keep one of the two; what may stand several times has double brackets, as `[[integration]]`
"#,
    },
    Bad {
        name: "a key without a value",
        changes: &[(r#"prefetch = ["freg:a"]"#, "prefetch")],
        expected: "
error: this is not TOML: key with no value, expected `=`
  --> portvakt.toml:12:9
   |
12 | prefetch
   |         ^
   |
   = help: write `key = value`, text in quotes
",
    },
    Bad {
        name: "a list that is not closed",
        changes: &[(r#"prefetch = ["freg:a"]"#, r#"prefetch = ["freg:a""#)],
        expected: r#"
error: this is not TOML: missing comma between array elements, expected `,`
  --> portvakt.toml:13:1
   |
13 | key = { pkcs12_file = "freg.p12", password_file = "freg.pw" }
   | ^
   |
   = help: look for a comma, a `]` or a `}` that is missing here or just before
"#,
    },
    Bad {
        name: "a day that does not exist",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = [{ file = "api-key", expires = 2027-02-30 }]"#,
        )],
        expected: r#"
error: this is not TOML: invalid date, expected day between 01 and 28
  --> portvakt.toml:23:39
   |
23 | keys = [{ file = "api-key", expires = 2027-02-30 }]
   |                                       ^^^^^^^^^^
   |
   = help: a date is written `2027-01-31`, a moment `2027-01-31T12:00:00Z`, both without quotes
"#,
    },
    Bad {
        name: "a backslash in double quotes",
        changes: &[("freg.p12", r"c:\keys\freg.p12")],
        expected: r#"
error: this is not TOML: missing escaped value, expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`
  --> portvakt.toml:13:27
   |
13 | key = { pkcs12_file = "c:\keys\freg.p12", password_file = "freg.pw" }
   |                           ^
   |
   = help: in double quotes a backslash is written `\\`; in single quotes it stands for itself
"#,
    },
    Bad {
        name: "a password in a key",
        changes: &[(
            r#"key = { pkcs12_file = "freg.p12", password_file = "freg.pw" }"#,
            r#"key = { pkcs12_file = "freg.p12", password = "hunter2" }"#,
        )],
        expected: r#"
error: `password`: a secret is never in this file, only the name of a file that holds it
  --> portvakt.toml:13:35
   |
13 | key = { pkcs12_file = "freg.p12", password = ********* }
   |                                   ^^^^^^^^
   |
   = help: put it in a file of its own, readable by Portvakt alone, and write `password_file = "FILE"`
"#,
    },
    Bad {
        name: "a password on a broken line",
        changes: &[(
            r#"key = { pkcs12_file = "freg.p12", password_file = "freg.pw" }"#,
            r#"key = { pkcs12_file = freg.p12, password = "hunter2" }"#,
        )],
        expected: r#"
error: this is not TOML: text without quotes, or a number that is none
  --> portvakt.toml:13:23
   |
13 | key = { pkcs12_file = freg.p12, password = ********* }
   |                       ^^^^^^^^
   |
   = help: put text in quotes: for example `listen = "127.0.0.1:8080"`
"#,
    },
    Bad {
        name: "a secret of an unknown name",
        changes: &[(
            r#""2222""#,
            r#""2222"
client-secret = "hunter2""#,
        )],
        expected: "
error: `client-secret`: a secret is never in this file, only the name of a file that holds it
  --> portvakt.toml:18:1
   |
18 | client-secret = *********
   | ^^^^^^^^^^^^^
   |
   = help: put it in a file of its own, readable by Portvakt alone, and name that file where it is used
",
    },
    Bad {
        name: "a private key in the file",
        changes: &[(
            r#"key = { private_key_file = "krr.pem", kid = "k1" }"#,
            r#"key = { private_key = """
-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASC
-----END PRIVATE KEY-----
""", kid = "k1" }"#,
        )],
        expected: r#"
error: a key or certificate stands in this file itself: only the name of a file that holds it does
  --> portvakt.toml:20:1
   |
20 | ***************************
   | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: put it in a file of its own, readable by Portvakt alone, and name that file: for example `private_key_file = "key.pem"`
"#,
    },
    Bad {
        name: "a private key in place of its file's name",
        changes: &[(
            r#"key = { private_key_file = "krr.pem", kid = "k1" }"#,
            r#"key = { private_key_file = '''-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASC
-----END PRIVATE KEY-----''', kid = "k1" }"#,
        )],
        expected: r#"
error: a key or certificate stands in this file itself: only the name of a file that holds it does
  --> portvakt.toml:19:31
   |
19 | key = { private_key_file = '''***************************
   |                               ^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: put it in a file of its own, readable by Portvakt alone, and name that file: for example `private_key_file = "key.pem"`
"#,
    },
    Bad {
        name: "a private key between the wrong quotes",
        changes: &[(
            r#"key = { private_key_file = "krr.pem", kid = "k1" }"#,
            r#"key = { private_key_file = "-----BEGIN PRIVATE KEY-----
MIIEvQIBADANBgkqhkiG9w0BAQEFAASC
-----END PRIVATE KEY-----", kid = "k1" }"#,
        )],
        expected: r#"
error: a key or certificate stands in this file itself: only the name of a file that holds it does
  --> portvakt.toml:19:29
   |
19 | key = { private_key_file = "***************************
   |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: put it in a file of its own, readable by Portvakt alone, and name that file: for example `private_key_file = "key.pem"`
"#,
    },
    Bad {
        name: "a private key on one line",
        changes: &[(
            r#"key = { private_key_file = "krr.pem", kid = "k1" }"#,
            r#"key = { private_key_file = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----", kid = "k1" }"#,
        )],
        expected: r#"
error: a key or certificate stands in this file itself: only the name of a file that holds it does
  --> portvakt.toml:19:29
   |
19 | key = { private_key_file = "****************************************************************************************", kid = "k1" }
   |                             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: put it in a file of its own, readable by Portvakt alone, and name that file: for example `private_key_file = "key.pem"`
"#,
    },
    Bad {
        name: "an API key as a name",
        changes: &[(
            r#""gateway""#,
            r#""gateway"
networks = ["pv_Qm9yZ2VuIGVyIGVuIGJ5"]"#,
        )],
        expected: r#"
error: `pv_********************` is not a network
  --> portvakt.toml:23:13
   |
23 | networks = ["pv_********************"]
   |             ^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write for example `networks = ["10.20.0.0/16"]`
"#,
    },
];
