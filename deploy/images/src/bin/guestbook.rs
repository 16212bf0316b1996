//! The guestbook's front end: writes what guests say to Redis' leader and reads what
//! was said from its followers, both found by the names of their Services.

use std::io;

use hardway_images::http::{Answer, Request, serve};
use hardway_images::redis::{Reply, ask};
use hardway_images::{log, run_until_drained, setting};

const LIST: &str = "guestbook";

fn main() -> nix::Result<()> {
    run_until_drained(|| {
        if let Err(error) = serve("the guestbook", &setting("PORT", "80"), answer) {
            log(&format!("the guestbook ends: {error}"));
        }
    })
}

fn answer(request: &Request) -> Answer {
    let asked = (request.method.as_str(), request.path.as_str());
    let done = match asked {
        ("GET", "/") => messages().map(|messages| Answer::page(page(&messages))),
        ("GET", "/messages") => messages().map(|messages| Answer::text(lines(&messages))),
        ("POST", "/") => write(&request.body),
        ("GET", "/healthz") => Ok(Answer::text("ok\n".to_owned())),
        (_, path) => Ok(Answer::nothing_at(path)),
    };
    done.unwrap_or_else(|error| Answer::failure("503 Service Unavailable", format!("{error}\n")))
}

/// Redis named by a variable, or by the name of its Service.
fn redis(variable: &str, service: &str, command: &[&str]) -> io::Result<Reply> {
    let server = setting(variable, service);
    let password = std::env::var("REDIS_PASSWORD").ok();
    ask(&server, password.as_deref(), command)
        .map_err(|error| io::Error::other(format!("ask Redis at {server}: {error}")))
}

fn messages() -> io::Result<Vec<String>> {
    let command = ["LRANGE", LIST, "0", "-1"];
    let reply = redis("REDIS_FOLLOWER", "redis-follower:6379", &command)?;
    let Reply::List(items) = reply else {
        return Err(io::Error::other(format!("Redis answers {reply:?}")));
    };
    let text = |item| match item {
        Reply::Text(text) => text,
        _ => None,
    };
    Ok(items.into_iter().filter_map(text).collect())
}

fn write(body: &str) -> io::Result<Answer> {
    let Some(message) = body.strip_prefix("message=").map(decode) else {
        return Ok(Answer::failure(
            "400 Bad Request",
            "send a form with the field message\n".to_owned(),
        ));
    };
    let command = ["RPUSH", LIST, message.as_str()];
    redis("REDIS_LEADER", "redis-leader:6379", &command)?;
    let mut answer = Answer::failure("303 See Other", "written\n".to_owned());
    answer.location = Some("/");
    Ok(answer)
}

fn lines(messages: &[String]) -> String {
    messages.iter().map(|line| format!("{line}\n")).collect()
}

fn page(messages: &[String]) -> String {
    let items: String = messages
        .iter()
        .map(|message| format!("<li>{}</li>\n", escape(message)))
        .collect();
    let title = escape(&setting("TITLE", "Guestbook"));
    format!(
        "<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n{items}</ul>\n\
         <form method=\"post\" action=\"/\"><input name=\"message\" autofocus>\
         <button>Write</button></form>\n<p>served by {}</p>\n",
        escape(&setting("HOSTNAME", "unknown"))
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A form's value as it was before the browser packed it.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        let packed = after
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(match (first, packed) {
            (b'+', _) => b' ',
            (b'%', Some(byte)) => {
                rest = &after[2..];
                byte
            }
            (byte, _) => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_unpacked() {
        assert_eq!(decode("hello+world%21+100%+%C3%A9"), "hello world! 100% é");
    }

    #[test]
    fn guests_cannot_write_markup() {
        let page = page(&["<b>&</b>".to_owned()]);
        assert!(page.contains("<li>&lt;b&gt;&amp;&lt;/b&gt;</li>"));
    }
}
