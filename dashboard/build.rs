//! Puts the page into the binary: every file of `page/dist`, as it is and packed by gzip.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// What is served, by the end of its name; anything else in the folder is left out.
const KINDS: &[(&str, &str)] = &[
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("json", "application/json"),
    ("map", "application/json"),
    ("txt", "text/plain; charset=utf-8"),
    ("woff2", "font/woff2"),
];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let dist = root.join("page/dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    let mut files: Vec<PathBuf> = fs::read_dir(&dist)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    files.sort();
    let mut table = String::from("const FILES: &[File] = &[\n");
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        add(&mut table, &file, &out)?;
    }
    table.push_str("];\n");
    fs::write(out.join("files.rs"), table)
}

fn add(table: &mut String, file: &Path, out: &Path) -> io::Result<()> {
    let end = file.extension().and_then(|end| end.to_str()).unwrap_or("");
    let kind = KINDS.iter().find(|(known, _)| *known == end);
    let name = file.file_name().and_then(|name| name.to_str());
    let (Some((_, kind)), Some(name)) = (kind, name) else {
        return Ok(());
    };
    let packed = out.join(format!("{name}.gz"));
    let mut gzip = GzEncoder::new(fs::File::create(&packed)?, Compression::best());
    gzip.write_all(&fs::read(file)?)?;
    gzip.finish()?;
    writeln!(
        table,
        "File {{ name: {name:?}, kind: {kind:?}, plain: include_bytes!({file:?}), packed: include_bytes!({packed:?}) }},"
    )
    .map_err(io::Error::other)
}
