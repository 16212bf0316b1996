//! The row of an object in a Table: made when somebody asks for it, and kept beside the object
//! for all who ask then. To go over the object's JSON again costs many times what copying it does.

use hardway_resources::cell::CellsText;
use hardway_resources::resource::Printer;
use jiff::Timestamp;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A row of more bytes isn't kept.
const MOST: usize = 512;

/// The cells of an object's row, if they are kept.
#[derive(Debug, Default)]
pub(super) struct KeptRow(OnceLock<Box<Row>>);

struct Row {
    /// Who has made it: other versions of a kind, and definitions that have changed, have others.
    printer: Arc<dyn Printer>,
    cells: CellsText,
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.cells, f)
    }
}

impl KeptRow {
    /// Writes the cells of the object with this JSON, as they are at a time.
    ///
    /// # Errors
    /// If it is no object.
    pub fn write(
        &self,
        out: &mut Vec<u8>,
        printer: &Arc<dyn Printer>,
        json: &[u8],
        now: Timestamp,
    ) -> serde_json::Result<()> {
        if let Some(kept) = self.of(printer) {
            kept.cells.write(out, now);
            return Ok(());
        }
        let cells = CellsText::read(printer.as_ref(), json)?;
        cells.write(out, now);
        if cells.size() <= MOST {
            let printer = printer.clone();
            // Of two who ask at once one comes first.
            let _ = self.0.set(Box::new(Row { printer, cells }));
        }
        Ok(())
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        let kept = self.0.get();
        kept.map_or(0, |row| size_of::<Row>() + row.cells.size())
    }

    fn of(&self, printer: &Arc<dyn Printer>) -> Option<&Row> {
        let row = self.0.get()?;
        Arc::ptr_eq(&row.printer, printer).then_some(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardway_resources::printers;
    use serde_json::{Value, json};

    fn written(row: &KeptRow, printer: &Arc<dyn Printer>, object: &Value, now: &str) -> String {
        let mut out = Vec::new();
        let json = object.to_string();
        let now = now.parse().unwrap();
        row.write(&mut out, printer, json.as_bytes(), now).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_are_kept_for_whom_they_were_made() {
        let object = json!({"metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "data": {"x": "y"}});
        let maps = printers::for_kind("", "v1", "ConfigMap");
        let accounts = printers::for_kind("", "v1", "ServiceAccount");
        let row = KeptRow::default();
        assert_eq!(row.size(), 0);
        let soon = "2026-01-01T00:00:05Z";
        assert_eq!(written(&row, &maps, &object, soon), r#"["a",1,"5s"]"#);
        assert!((1..MOST).contains(&row.size()));
        // It isn't read again, but is as old as it is.
        let later = "2026-01-01T05:00:00Z";
        assert_eq!(written(&row, &maps, &json!(null), later), r#"["a",1,"5h"]"#);
        assert_eq!(written(&row, &accounts, &object, soon), r#"["a",0,"5s"]"#);
        assert_eq!(written(&row, &maps, &json!(null), later), r#"["a",1,"5h"]"#);
    }

    #[test]
    fn long_rows_are_made_each_time() {
        let long = json!({"metadata": {"name": "a".repeat(MOST)}});
        let printer = printers::for_kind("", "v1", "ConfigMap");
        let row = KeptRow::default();
        let now = "2026-01-01T00:00:00Z";
        let first = written(&row, &printer, &long, now);
        assert_eq!(row.size(), 0);
        assert_eq!(written(&row, &printer, &long, now), first);
    }
}
