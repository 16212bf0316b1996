//! Just enough of Redis' protocol to ask it something.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(3);

/// What Redis answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// A word such as OK.
    Word(String),
    /// A number.
    Number(i64),
    /// A text, or none.
    Text(Option<String>),
    /// Several answers.
    List(Vec<Reply>),
}

/// Asks the server at `HOST:PORT` one command; with a password, if it wants one.
pub fn ask(server: &str, password: Option<&str>, command: &[&str]) -> io::Result<Reply> {
    let mut failure = io::Error::other("its name has no address");
    for address in server.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                let mut replies = BufReader::new(stream.try_clone()?);
                if let Some(password) = password {
                    stream.write_all(&encode(&["AUTH", password]))?;
                    read(&mut replies)?;
                }
                stream.write_all(&encode(command))?;
                return read(&mut replies);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn encode(command: &[&str]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).bytes());
    }
    bytes
}

fn read(from: &mut impl BufRead) -> io::Result<Reply> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let line = line.trim_end();
    let strange = || io::Error::new(io::ErrorKind::InvalidData, format!("it answers {line:?}"));
    let (mark, rest) = line.split_at_checked(1).ok_or_else(strange)?;
    let number = || rest.parse::<i64>().map_err(|_| strange());
    match mark {
        "+" => Ok(Reply::Word(rest.to_owned())),
        "-" => Err(io::Error::other(format!("it refuses: {rest}"))),
        ":" => Ok(Reply::Number(number()?)),
        "$" => {
            // A negative length stands for nothing.
            let Ok(length) = usize::try_from(number()?) else {
                return Ok(Reply::Text(None));
            };
            let mut bytes = vec![0; length + 2];
            from.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(Reply::Text(Some(
                String::from_utf8_lossy(&bytes).into_owned(),
            )))
        }
        "*" => (0..number()?)
            .map(|_| read(from))
            .collect::<io::Result<_>>()
            .map(Reply::List),
        _ => Err(strange()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lists_of_counted_words() {
        assert_eq!(
            encode(&["RPUSH", "list", "é"]),
            "*3\r\n$5\r\nRPUSH\r\n$4\r\nlist\r\n$2\r\né\r\n".as_bytes()
        );
    }

    #[test]
    fn replies_are_taken_apart() {
        let read = |text: &str| read(&mut text.as_bytes());
        assert_eq!(read("+OK\r\n").unwrap(), Reply::Word("OK".to_owned()));
        assert_eq!(read(":12\r\n").unwrap(), Reply::Number(12));
        assert_eq!(read("$-1\r\n").unwrap(), Reply::Text(None));
        let text = |text: &str| Reply::Text(Some(text.to_owned()));
        assert_eq!(
            read("*2\r\n$4\r\na\r\nb\r\n$0\r\n\r\n").unwrap(),
            Reply::List(vec![text("a\r\nb"), text("")])
        );
        let refusal = read("-READONLY You can't write\r\n").unwrap_err();
        assert_eq!(refusal.to_string(), "it refuses: READONLY You can't write");
        assert!(read("").is_err());
        assert!(read("$5\r\nab").is_err());
    }
}
