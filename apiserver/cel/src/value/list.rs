//! Lists: those of objects, and those that expressions make.

use super::Value;
use super::index::{Index, identity};
use crate::Error;
use crate::schema::{Form, ListType, Schema};
use serde_json::Value as Json;
use std::sync::Arc;

/// A list.
#[derive(Clone, Debug)]
pub struct List<'a> {
    items: Items<'a>,
    /// Of the list, if it has one: as maps and sets lists compare and add differently.
    schema: Option<&'a Schema>,
}

#[derive(Clone, Debug)]
enum Items<'a> {
    Json(&'a [Json]),
    Values(Arc<Vec<Value<'a>>>),
}

impl<'a> From<Vec<Value<'a>>> for List<'a> {
    fn from(items: Vec<Value<'a>>) -> Self {
        Self {
            items: Items::Values(Arc::new(items)),
            schema: None,
        }
    }
}

impl<'a> List<'a> {
    pub(super) fn of_json(items: &'a [Json], schema: Option<&'a Schema>) -> Self {
        Self {
            items: Items::Json(items),
            schema,
        }
    }

    /// How many elements it has.
    pub fn len(&self) -> usize {
        match &self.items {
            Items::Json(items) => items.len(),
            Items::Values(items) => items.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An element, if there is one at the index.
    ///
    /// # Errors
    ///
    /// The element is not of the schema.
    pub fn get(&self, index: usize) -> Result<Option<Value<'a>>, Error> {
        match &self.items {
            Items::Values(items) => Ok(items.get(index).cloned()),
            Items::Json(items) => items.get(index).map(|item| self.of_item(item)).transpose(),
        }
    }

    fn of_item(&self, item: &'a Json) -> Result<Value<'a>, Error> {
        match self.schema.map(|schema| &schema.form) {
            Some(Form::List { items, .. }) => Value::of_schema(item, items),
            _ => Ok(Value::of_json(item)),
        }
    }

    /// All elements; one that is not of the schema is an error.
    pub fn iter(&self) -> impl Iterator<Item = Result<Value<'a>, Error>> + '_ {
        (0..self.len()).filter_map(|index| self.get(index).transpose())
    }

    /// All elements.
    ///
    /// # Errors
    ///
    /// One is not of the schema.
    pub fn to_vec(&self) -> Result<Vec<Value<'a>>, Error> {
        self.iter().collect()
    }

    /// How its elements stand to each other.
    pub(super) fn list_type(&self) -> &ListType {
        match self.schema.map(|schema| &schema.form) {
            Some(Form::List { list_type, .. }) => list_type,
            _ => &ListType::Atomic,
        }
    }

    /// `self + other`: one after the other. Of sets, what is new is added; of lists that are
    /// maps, what has the same keys is replaced.
    pub(crate) fn add(self, other: &Self) -> Result<Self, Error> {
        let schema = self.schema;
        let kind = self.list_type().clone();
        let mut items = match self.items {
            Items::Values(items) => items,
            Items::Json(_) => Arc::new(self.to_vec()?),
        };
        let all = Arc::make_mut(&mut items);
        let mut index = Index::default();
        if kind != ListType::Atomic && !other.is_empty() {
            for (place, known) in all.iter().enumerate() {
                index.insert(identity(known, &kind)?, place);
            }
        }
        for item in other.iter() {
            let item = item?;
            if kind == ListType::Atomic {
                all.push(item);
                continue;
            }
            let new = identity(&item, &kind)?;
            let same = index.find(&new).next();
            match same.and_then(|place| all.get_mut(place)) {
                Some(known) if matches!(kind, ListType::Map(_)) => *known = item,
                Some(_) => {}
                None => {
                    index.insert(new, all.len());
                    all.push(item);
                }
            }
        }
        Ok(Self {
            items: Items::Values(items),
            schema,
        })
    }
}
