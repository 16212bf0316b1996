//! Writes the shapes and OpenAPI documents of the built-in kinds.
//!
//! Types and descriptions come from k8s-openapi; how lists and maps merge,
//! which it lacks, from `facts/fields.tsv`, and which values fields have from
//! `facts/enums.tsv`; what earlier versions of a kind have
//! otherwise, from `facts/old.tsv`; which kinds are served, from the table
//! itself (`src/rows`). Everything is made here so that the running
//! server neither parses nor builds these documents, but sends bytes.

#[path = "build/arena.rs"]
mod arena;
#[path = "build/documents.rs"]
mod documents;
#[path = "build/facts.rs"]
mod facts;
#[path = "build/kinds.rs"]
mod kinds;
#[path = "build/old.rs"]
mod old;
#[path = "src/openapi/paths.rs"]
mod paths;
#[path = "src/openapi/protobuf.rs"]
#[allow(dead_code)]
mod protobuf;
#[path = "src/rows/mod.rs"]
#[allow(dead_code)]
mod rows;
#[path = "src/openapi/v2.rs"]
#[allow(dead_code)]
mod v2;

use std::error::Error;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    for input in ["build.rs", "build", "facts", "src/rows", "src/openapi"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out = std::env::var("OUT_DIR")?;
    let out = Path::new(&out);
    let facts = facts::read(Path::new("facts/fields.tsv"))?;
    let changes = old::read(Path::new("facts/old.tsv"))?;
    let enums = facts::read_enums(Path::new("facts/enums.tsv"))?;
    let definitions = kinds::definitions(&facts, &enums, &changes);
    let arena = arena::build(&definitions).to_string();
    write_gzip(&out.join("schemas.json.gz"), arena.as_bytes())?;
    documents::write(out, &definitions)
}

fn write_gzip(path: &Path, text: &[u8]) -> Result<(), Box<dyn Error>> {
    let file = std::fs::File::create(path)?;
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::best());
    encoder.write_all(text)?;
    encoder.finish()?;
    Ok(())
}
