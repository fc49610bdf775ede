//! `[[caller]]`.

use crate::workbench::{Bad, check};

#[test]
fn every_mistake_is_shown_with_its_line() {
    check(&CASES);
}

const CASES: [Bad; 37] = [
    Bad {
        name: "no caller",
        changes: &[(
            r#"[[caller]]
name = "gateway"
keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]
may = [{ integration = "freg", scopes = ["freg:*"] }]
"#,
            "",
        )],
        expected: "
error: the file has no caller: nobody could ask for a token
 --> portvakt.toml:1:1
  |
1 | [server]
  | ^
  |
  = help: write `[[caller]]`, with its name, keys and what it may have
",
    },
    Bad {
        name: "two callers with one name",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]

[[caller]]
name = "gateway"
keys = [{ sha256 = "0f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]
may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
        )],
        expected: r#"
error: two callers are called `gateway`
  --> portvakt.toml:27:8
   |
22 | name = "gateway"
   |        --------- the other one
...
27 | name = "gateway"
   |        ^^^^^^^^^
   |
   = help: give each caller a name of its own: logs and metrics tell them apart by it
"#,
    },
    Bad {
        name: "two callers with one key",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]

[[caller]]
name = "service"
keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]
may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
        )],
        expected: r#"
error: two callers have the same API key
  --> portvakt.toml:28:9
   |
23 | keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]
   |         ------------------------------------------------------------------------------- the other one
...
28 | keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: give each caller a key of its own: nobody could tell who asks
"#,
    },
    Bad {
        name: "a caller with a key twice",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = [
  { sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
  { sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08" },
]"#,
        )],
        expected: r#"
error: this caller has the same API key twice
  --> portvakt.toml:25:3
   |
24 |   { sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
   |   ------------------------------------------------------------------------------- the other one
25 |   { sha256 = "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B2B0B822CD15D6C15B0F00A08" },
   |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: leave one of the two out
"#,
    },
    Bad {
        name: "a caller without keys",
        changes: &[(r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#, "keys = []")],
        expected: r#"
error: `keys` is empty: a caller without keys can never ask
  --> portvakt.toml:23:8
   |
23 | keys = []
   |        ^^
   |
   = help: write for example `keys = [{ sha256 = "64 hex digits" }]`
"#,
    },
    Bad {
        name: "a key that is text",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = ["hunter2"]"#,
        )],
        expected: r#"
error: a key is a table with its digest, or with the name of a file that holds it
  --> portvakt.toml:23:9
   |
23 | keys = [*********]
   |         ^^^^^^^^^
   |
   = help: write `{ sha256 = "64 hex digits" }` or `{ file = "FILE" }`
"#,
    },
    Bad {
        name: "an API key in place of its digest",
        changes: &[(
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "pv_Qm9yZ2VuIGVyIGVuIGJ5IHDDpSBWZXN0bGFuZGV0MTIzNDU2",
        )],
        expected: "
error: this is an API key itself: only its digest belongs here
  --> portvakt.toml:23:20
   |
23 | keys = [{ sha256 = ***************************************************** }]
   |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: give the key to `portvakt api-key hash` on its standard input, and write the 64 hex digits that it prints
",
    },
    Bad {
        name: "another API key in place of its digest",
        changes: &[("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "hunter2")],
        expected: "
error: `sha256` is not a digest: that has 64 hex digits, and this has 7 characters
  --> portvakt.toml:23:20
   |
23 | keys = [{ sha256 = ********* }]
   |                    ^^^^^^^^^
   |
   = help: give the key to `portvakt api-key hash` on its standard input, and write the 64 hex digits that it prints
",
    },
    Bad {
        name: "the digest of nothing",
        changes: &[(
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        )],
        expected: r#"
error: this is the digest of an empty text, not of a key
  --> portvakt.toml:23:20
   |
23 | keys = [{ sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }]
   |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: give the key to `portvakt api-key hash` on its standard input, and write the 64 hex digits that it prints
"#,
    },
    Bad {
        name: "a key with a digest and a file",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", file = "api-key" }]"#,
        )],
        expected: r#"
error: `sha256` and `file` together: which of the two is the key?
  --> portvakt.toml:23:9
   |
23 | keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", file = "api-key" }]
   |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: leave one of them out
"#,
    },
    Bad {
        name: "a key with neither",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            "keys = [{ expires = 2027-01-31 }]",
        )],
        expected: r#"
error: this key has neither `sha256` nor `file`
  --> portvakt.toml:23:9
   |
23 | keys = [{ expires = 2027-01-31 }]
   |         ^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write `{ sha256 = "64 hex digits" }` or `{ file = "FILE" }`
"#,
    },
    Bad {
        name: "a key's file with two lines",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = [{ file = "two-lines-api-key" }]"#,
        )],
        expected: r#"
error: the key in `two-lines-api-key` has a character that no header can bring: a space, a line break, or one beyond ASCII
  --> portvakt.toml:23:18
   |
23 | keys = [{ file = "two-lines-api-key" }]
   |                  ^^^^^^^^^^^^^^^^^^^
   |
   = help: make one with `portvakt api-key new` and write it into the file
"#,
    },
    Bad {
        name: "a key that is too long for a request",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = [{ file = "long-api-key" }]"#,
        )],
        expected: r#"
error: the key in `long-api-key` has 257 bytes, and 256 are the most that a request can bring
  --> portvakt.toml:23:18
   |
23 | keys = [{ file = "long-api-key" }]
   |                  ^^^^^^^^^^^^^^
   |
   = help: make one with `portvakt api-key new` and write it into the file
"#,
    },
    Bad {
        name: "a key that a gateway did not fill in",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = [{ file = "unset-api-key" }]"#,
        )],
        expected: r#"
error: the key in `unset-api-key` is a text that means in a request that no key was given
  --> portvakt.toml:23:18
   |
23 | keys = [{ file = "unset-api-key" }]
   |                  ^^^^^^^^^^^^^^^
   |
   = help: make one with `portvakt api-key new` and write it into the file
"#,
    },
    Bad {
        name: "a date in quotes",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = [{ file = "api-key", expires = "2027-01-31" }]"#,
        )],
        expected: r#"
error: `expires` must be a date or a date-time, without quotes
  --> portvakt.toml:23:39
   |
23 | keys = [{ file = "api-key", expires = "2027-01-31" }]
   |                                       ^^^^^^^^^^^^
   |
   = help: write for example `expires = 2027-01-31`
"#,
    },
    Bad {
        name: "a date-time without its zone",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = [{ file = "api-key", expires = 2027-01-31T12:00:00 }]"#,
        )],
        expected: r#"
error: this date-time does not say in which time zone
  --> portvakt.toml:23:39
   |
23 | keys = [{ file = "api-key", expires = 2027-01-31T12:00:00 }]
   |                                       ^^^^^^^^^^^^^^^^^^^
   |
   = help: write `2027-01-31T12:00:00Z` for UTC, or an offset as `+01:00`
"#,
    },
    Bad {
        name: "a time without a date",
        changes: &[(
            r#"keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]"#,
            r#"keys = [{ file = "api-key", expires = 12:00:00 }]"#,
        )],
        expected: r#"
error: `expires` is a time of day without a date
  --> portvakt.toml:23:39
   |
23 | keys = [{ file = "api-key", expires = 12:00:00 }]
   |                                       ^^^^^^^^
   |
   = help: write for example `expires = 2027-01-31`
"#,
    },
    Bad {
        name: "an address for a network",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"networks = ["10.20.0.7"]
may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
        )],
        expected: r#"
error: `10.20.0.7` is an address, not a network
  --> portvakt.toml:24:13
   |
24 | networks = ["10.20.0.7"]
   |             ^^^^^^^^^^^
   |
   = help: write "10.20.0.7/32" for this address alone
"#,
    },
    Bad {
        name: "an address with a network's length",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"networks = ["10.20.0.7/16"]
may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
        )],
        expected: r#"
error: `10.20.0.7/16` names one address and, by its length, a whole network
  --> portvakt.toml:24:13
   |
24 | networks = ["10.20.0.7/16"]
   |             ^^^^^^^^^^^^^^
   |
   = help: write "10.20.0.0/16" for all of that network, or "10.20.0.7/32" for this address alone
"#,
    },
    Bad {
        name: "what is no network",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"networks = ["internal"]
may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
        )],
        expected: r#"
error: `internal` is not a network
  --> portvakt.toml:24:13
   |
24 | networks = ["internal"]
   |             ^^^^^^^^^^
   |
   = help: write for example `networks = ["10.20.0.0/16"]`
"#,
    },
    Bad {
        name: "no network at all",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"networks = []
may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
        )],
        expected: "
error: `networks` is empty, and nobody can ask from nowhere
  --> portvakt.toml:24:12
   |
24 | networks = []
   |            ^^
   |
   = help: leave `networks` out to allow all, or name one
",
    },
    Bad {
        name: "a caller that may nothing",
        changes: &[(r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#, "may = []")],
        expected: r#"
error: `may` is empty: a caller that may have nothing needs no key
  --> portvakt.toml:24:7
   |
24 | may = []
   |       ^^
   |
   = help: write for example `may = [{ integration = "freg-test", scopes = ["folkeregister:deling/*"] }]`
"#,
    },
    Bad {
        name: "a caller without rules",
        changes: &[(r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#, "")],
        expected: r#"
error: [[caller]] has no `may`
  --> portvakt.toml:21:1
   |
21 | [[caller]]
   | ^^^^^^^^^^
   |
   = help: write for example `may = [{ integration = "freg-test", scopes = ["folkeregister:deling/*"] }]`
"#,
    },
    Bad {
        name: "a rule that is text",
        changes: &[(r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#, r#"may = ["freg:*"]"#)],
        expected: r#"
error: a rule of `may` is a table
  --> portvakt.toml:24:8
   |
24 | may = ["freg:*"]
   |        ^^^^^^^^
   |
   = help: write for example `may = [{ integration = "freg-test", scopes = ["folkeregister:deling/*"] }]`
"#,
    },
    Bad {
        name: "a rule for an unknown integration",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "ferg", scopes = ["freg:*"] }]"#,
        )],
        expected: r#"
error: there is no integration `ferg`
  --> portvakt.toml:24:24
   |
24 | may = [{ integration = "ferg", scopes = ["freg:*"] }]
   |                        ^^^^^^
   |
   = help: write "freg"
"#,
    },
    Bad {
        name: "a rule for a client ID",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "1111", scopes = ["freg:*"] }]"#,
        )],
        expected: r#"
error: there is no integration `1111`
  --> portvakt.toml:24:24
   |
24 | may = [{ integration = "1111", scopes = ["freg:*"] }]
   |                        ^^^^^^
   |
   = help: this is a client ID: write the integration's name, "freg"
"#,
    },
    Bad {
        name: "a rule without scopes",
        changes: &[(r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#, r#"may = [{ integration = "freg" }]"#)],
        expected: r#"
error: a rule has no `scopes`
  --> portvakt.toml:24:8
   |
24 | may = [{ integration = "freg" }]
   |        ^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: write for example `scopes = ["folkeregister:deling/*"]`
"#,
    },
    Bad {
        name: "a rule with two scopes in one",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:a freg:b"] }]"#,
        )],
        expected: r#"
error: `freg:a freg:b` has a space: each scope stands by itself
  --> portvakt.toml:24:42
   |
24 | may = [{ integration = "freg", scopes = ["freg:a freg:b"] }]
   |                                          ^^^^^^^^^^^^^^^
   |
   = help: write ["freg:a", "freg:b"]
"#,
    },
    Bad {
        name: "a star in the middle",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:*/read"] }]"#,
        )],
        expected: r#"
error: `freg:*/read`: `*` can only be a scope's last character
  --> portvakt.toml:24:42
   |
24 | may = [{ integration = "freg", scopes = ["freg:*/read"] }]
   |                                          ^^^^^^^^^^^^^
   |
   = help: write for example "folkeregister:deling/*"
"#,
    },
    Bad {
        name: "a scope with a quote",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ['freg:"a"'] }]"#,
        )],
        expected: r#"
error: `freg:"a"` is not a scope: a scope has printable ASCII characters other than the double quote and the backslash (RFC 6749 section 3.3), which the character at position 6 is not
  --> portvakt.toml:24:42
   |
24 | may = [{ integration = "freg", scopes = ['freg:"a"'] }]
   |                                          ^^^^^^^^^^
   |
   = help: write for example `scopes = ["folkeregister:deling/*"]`
"#,
    },
    Bad {
        name: "an organisation of eight digits",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:*"], consumer_org = ["88964078"] }]"#,
        )],
        expected: r#"
error: `88964078` is not an organisation number: nine digits
  --> portvakt.toml:24:69
   |
24 | may = [{ integration = "freg", scopes = ["freg:*"], consumer_org = ["88964078"] }]
   |                                                                     ^^^^^^^^^^
   |
   = help: write for example `consumer_org = ["889640782"]`
"#,
    },
    Bad {
        name: "a star among others",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:*"], resource = ["*", "https://api.example.no"] }]"#,
        )],
        expected: r#"
error: `*` in `resource` stands for any value, and then alone
  --> portvakt.toml:24:65
   |
24 | may = [{ integration = "freg", scopes = ["freg:*"], resource = ["*", "https://api.example.no"] }]
   |                                                                 ^^^
   |
   = help: write `resource = ["*"]`, or each value in full
"#,
    },
    Bad {
        name: "pid as text",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:*"], pid = "yes" }]"#,
        )],
        expected: r#"
error: `pid` must be true or false, and this is text
  --> portvakt.toml:24:59
   |
24 | may = [{ integration = "freg", scopes = ["freg:*"], pid = "yes" }]
   |                                                           ^^^^^
   |
   = help: write for example `pid = true`
"#,
    },
    Bad {
        name: "a requirement that is not permitted",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:*"], requires = ["pid"] }]"#,
        )],
        expected: r#"
error: this rule requires `pid` and permits none: no request could ever match it
  --> portvakt.toml:24:65
   |
24 | may = [{ integration = "freg", scopes = ["freg:*"], requires = ["pid"] }]
   |                                                                 ^^^^^
   |
   = help: permit it, for example `pid = true`, or do not require it
"#,
    },
    Bad {
        name: "an unknown requirement",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:*"], pid = true, requires = ["pids"] }]"#,
        )],
        expected: r#"
error: `pids` is not a parameter that a rule can require
  --> portvakt.toml:24:77
   |
24 | may = [{ integration = "freg", scopes = ["freg:*"], pid = true, requires = ["pids"] }]
   |                                                                             ^^^^^^
   |
   = help: write "pid"
"#,
    },
    Bad {
        name: "requirements that exclude each other",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"may = [{ integration = "freg", scopes = ["freg:*"], consumer_org = ["*"], iss_onbehalfof = ["*"], requires = ["consumer_org", "iss_onbehalfof"] }]"#,
        )],
        expected: r#"
error: this rule requires `consumer_org` and `iss_onbehalfof`: a request with both is refused
  --> portvakt.toml:24:110
   |
24 | ...rg = ["*"], iss_onbehalfof = ["*"], requires = ["consumer_org", "iss_onbehalfof"] }]
   |                                                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: make a rule for each of the two
"#,
    },
    Bad {
        name: "what is not there yet",
        changes: &[(
            r#"may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
            r#"rate = "50/s"
may = [{ integration = "freg", scopes = ["freg:*"] }]"#,
        )],
        expected: r#"
error: unknown key `rate` in [[caller]]
  --> portvakt.toml:24:1
   |
24 | rate = "50/s"
   | ^^^^
   |
   = help: known here: name, keys, networks, may
"#,
    },
];
