//! The lines of an answer that goes on, out of the chunks it comes in (RFC 9112, 7.1). Pure.

/// What came so far and is not a whole line yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// As it came: sizes and chunks.
    raw: Vec<u8>,
    /// The head of the answer is through.
    body: bool,
    /// The content, up to the last whole line.
    text: Vec<u8>,
    /// The answer's code, once it is there.
    pub status: Option<u16>,
}

impl Lines {
    /// Takes what came; gives the lines that are whole by it.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.raw.extend_from_slice(bytes);
        if !self.body {
            let Some(end) = find(&self.raw, b"\r\n\r\n") else {
                return Vec::new();
            };
            let head: Vec<u8> = self.raw.drain(..end + 4).collect();
            let head = String::from_utf8_lossy(&head);
            self.status = head.get(9..12).and_then(|code| code.parse().ok());
            self.body = true;
        }
        while let Some(chunk) = self.chunk() {
            self.text.extend(chunk);
        }
        let mut lines = Vec::new();
        while let Some(end) = find(&self.text, b"\n") {
            let line: Vec<u8> = self.text.drain(..=end).collect();
            lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
        lines
    }

    /// The next chunk, if it is all there. The last one, which is empty, is none.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = find(&self.raw, b"\r\n")?;
        let size = std::str::from_utf8(&self.raw[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        let (from, to) = (end + 2, end + 2 + size);
        if size == 0 || self.raw.len() < to + 2 {
            return None;
        }
        let chunk = self.raw[from..to].to_vec();
        self.raw.drain(..to + 2);
        Some(chunk)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let sent =
            b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n4\r\n{1}\n\r\n2\r\n{2\r\n3\r\n2}\n\r\n0\r\n\r\n";
        for size in 1..sent.len() {
            let mut lines = Lines::default();
            let pieces = sent.chunks(size);
            let got: Vec<String> = pieces.flat_map(|piece| lines.push(piece)).collect();
            assert_eq!(got, ["{1}", "{22}"], "{size}");
            assert_eq!(lines.status, Some(200));
        }
    }
}
