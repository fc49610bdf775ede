//! curl lines out of documents and screens, sent without curl: what people are told to type must work.

use std::time::Duration;

/// A line `curl …`, taken apart.
#[derive(Debug)]
pub(super) struct Curl {
    pub(super) method: reqwest::Method,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<String>,
    pub(super) url: String,
}

impl Curl {
    /// Panics on an option that it does not know, so that none is left out silently.
    pub(super) fn parse(line: &str) -> Self {
        let mut words = words(line).into_iter();
        assert_eq!(words.next().as_deref(), Some("curl"), "{line}");
        let mut curl = Self { method: reqwest::Method::GET, headers: Vec::new(), body: None, url: String::new() };
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} without a value: {line}"));
            match word.as_str() {
                "-i" | "-s" => {}
                "-X" => curl.method = value().parse().unwrap(),
                "-d" => curl.body = Some(value()),
                "-H" => {
                    let header = value();
                    let (name, value) = header.split_once(": ").unwrap_or_else(|| panic!("not a header: {header}"));
                    curl.headers.push((name.to_owned(), value.to_owned()));
                }
                url if url.starts_with("http://") && curl.url.is_empty() => url.clone_into(&mut curl.url),
                other => panic!("{other} is not known here: {line}"),
            }
        }
        assert!(!curl.url.is_empty(), "no URL: {line}");
        curl
    }

    /// Status and body of the answer.
    pub(super) async fn send(self) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        let mut request = client.request(self.method, self.url);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = self.body {
            request = request.header("Content-Type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

/// A shell's words, as far as these lines go: spaces between, single quotes around.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            '"' | '\\' | '$' | '`' if !quoted => panic!("{character} means something to a shell: {line}"),
            character => word.push(character),
        }
    }
    assert!(!quoted, "a quote is not closed: {line}");
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}
