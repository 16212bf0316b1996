//! Managers may know an object in other versions than the one a write is made
//! in: what it changed is looked at as each of them sees it.

use crate::managed_fields::{Writer, changes};
use crate::typed::Comparison;
use hardway_resources::schema::Schema;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

type Convert<'a> = dyn Fn(&Value, &str, &str) -> Option<(Schema, Value)> + 'a;

/// How an object looks in another version of its API.
#[derive(Clone, Copy, Default)]
pub struct Versions<'a>(Option<&'a Convert<'a>>);

impl<'a> Versions<'a> {
    /// Versions that `convert` knows: from an object, the `group/version` it is
    /// in and the one it shall be in, to the schema there and the object; `None`
    /// if that version isn't served. Without it all versions are taken to be alike.
    pub fn by(convert: &'a Convert<'a>) -> Self {
        Self(Some(convert))
    }

    /// An object, with the schema of its version, in another version.
    pub(crate) fn convert(
        &self,
        schema: &Schema,
        object: &Value,
        from: &str,
        to: &str,
    ) -> Option<(Schema, Value)> {
        match self.0 {
            Some(convert) if from != to => convert(object, from, to),
            _ => Some((schema.clone(), object.clone())),
        }
    }
}

impl fmt::Debug for Versions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Versions")
    }
}

/// What a write does to an object.
pub(crate) struct Change<'a> {
    schema: &'a Schema,
    old: &'a Value,
    new: &'a Value,
    pub writer: &'a Writer<'a>,
    /// As its writer sees it.
    pub differs: Comparison,
}

impl<'a> Change<'a> {
    pub(crate) fn of(
        schema: &'a Schema,
        old: &'a Value,
        new: &'a Value,
        writer: &'a Writer<'a>,
    ) -> Self {
        Self {
            schema,
            old,
            new,
            writer,
            differs: changes(schema, old, new, writer),
        }
    }

    /// As seen in another version; `None` if that one isn't served any more.
    pub(crate) fn seen_in(&self, version: &str) -> Option<Cow<'_, Comparison>> {
        let own = self.writer.api_version;
        if version == own || self.writer.versions.0.is_none() {
            return Some(Cow::Borrowed(&self.differs));
        }
        let there = |object| {
            self.writer
                .versions
                .convert(self.schema, object, own, version)
        };
        let (schema, old) = there(self.old)?;
        let (_, new) = there(self.new)?;
        Some(Cow::Owned(changes(&schema, &old, &new, self.writer)))
    }
}
