//! A definition's own schema, as it is kept until somebody asks for the documents: mostly
//! descriptions, which nothing else needs.

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde_json::Value;

/// A JSON value, compressed.
#[derive(Clone)]
pub struct Compressed(Box<[u8]>);

impl Compressed {
    /// Keeps a value.
    pub fn of(value: &Value) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        let written = serde_json::to_writer(&mut encoder, value).map_err(std::io::Error::from);
        let bytes = written.and_then(|()| encoder.finish());
        Self(bytes.expect("writing to memory can't fail").into())
    }

    /// The value as it was.
    pub fn value(&self) -> Value {
        serde_json::from_reader(std::io::BufReader::new(DeflateDecoder::new(&*self.0)))
            .expect("it was written here")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_comes_back_as_it_was() {
        let schema = json!({"type": "object", "description": "what ".repeat(100), "maximum": 1.5});
        let kept = Compressed::of(&schema);
        assert_eq!(kept.value(), schema);
        assert!(kept.0.len() < 120, "{}", kept.0.len());
    }
}
