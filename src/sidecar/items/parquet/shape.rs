//! The shape of a row: a schema as what to write, and the assembly of rows from the levels of its columns.
//!
//! Parquet format, "Nested encoding" and "Logical types: lists and maps" with their rules for older files. Each
//! column has one place for each value, null or empty list; whether an ancestor is there, its first column says.

use std::ops::Range;

use parquet::{
    basic::{ConvertedType, LogicalType, Repetition},
    errors::{ParquetError, Result},
    schema::types::{SchemaDescriptor, Type},
};
use serde_json::value::RawValue;

use super::{
    column::{Column, Levels},
    kind::Kind,
    text::Text,
};
use crate::task::ItemFault;

/// The columns that the shape speaks of, in the order of the schema.
pub(super) type Columns = Vec<Box<dyn Column>>;

/// A row.
#[derive(Debug)]
pub(super) struct Shape {
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    /// `"name":`
    key: String,
    node: Node,
}

/// A value and the columns that it is made of.
#[derive(Debug)]
struct Node {
    columns: Range<usize>,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Leaf,
    /// Null below this definition level.
    Optional(i16, Box<Node>),
    Struct(Vec<Field>),
    List(Repeated, Box<Node>),
    Map(Repeated, Box<Entry>),
}

/// The definition level from which on there is an element, and the repetition level of all but the first.
#[derive(Clone, Copy, Debug)]
struct Repeated {
    definition: i16,
    repetition: i16,
}

#[derive(Debug)]
struct Entry {
    key: Node,
    value: Node,
    /// Whether the keys are texts, so that JSON has an object for it.
    is_object: bool,
    /// For faults.
    name: String,
}

impl Shape {
    /// Reads the schema.
    pub(super) fn of(schema: &SchemaDescriptor) -> Result<Self> {
        let mut builder = Builder { schema, next: 0 };
        let fields = builder.fields(schema.root_schema(), 0, 0)?;
        if builder.next != schema.num_columns() || fields.is_empty() {
            return Err(ParquetError::General("the schema has no columns".to_owned()));
        }
        Ok(Self { fields })
    }

    /// Writes the row at which the columns are. Texts of JSON in the columns that have a meaning in a task are taken for
    /// what they say.
    pub(super) fn write(&self, columns: &mut Columns, text: &mut Text) -> Result<()> {
        text.raw("{");
        for (place, field) in self.fields.iter().enumerate() {
            let at = field.write(place, columns, text)?;
            let opening = match field.name.as_str() {
                "data" | "meta" => b'{',
                "annotations" | "predictions" => b'[',
                _ => continue,
            };
            if let Some(json) = json_within(text.since(at), opening) {
                text.replace(at, &json);
            }
        }
        text.raw("}");
        Ok(())
    }
}

/// What a text of JSON in JSON says, if it is an object or a list as wanted.
fn json_within(value: &[u8], opening: u8) -> Option<String> {
    if value.first() != Some(&b'"') {
        return None;
    }
    let inner: String = serde_json::from_slice(value).ok()?;
    let is_json = serde_json::from_str::<&RawValue>(&inner).ok()?.get().as_bytes().first() == Some(&opening);
    is_json.then_some(inner)
}

impl Field {
    /// Returns where the value starts.
    fn write(&self, place: usize, columns: &mut Columns, text: &mut Text) -> Result<usize> {
        if place > 0 {
            text.raw(",");
        }
        text.raw(&self.key);
        let at = text.len();
        self.node.write(columns, text)?;
        Ok(at)
    }
}

impl Node {
    fn write(&self, columns: &mut Columns, text: &mut Text) -> Result<()> {
        match &self.form {
            Form::Leaf => columns[self.columns.start].write(text),
            Form::Optional(definition, node) => {
                if self.levels(columns)?.definition < *definition {
                    text.raw("null");
                    self.skip(columns)
                } else {
                    node.write(columns, text)
                }
            }
            Form::Struct(fields) => {
                text.raw("{");
                for (place, field) in fields.iter().enumerate() {
                    field.write(place, columns, text)?;
                }
                text.raw("}");
                Ok(())
            }
            Form::List(repeated, element) => {
                text.raw("[");
                self.each(*repeated, columns, text, |columns, text| element.write(columns, text))?;
                text.raw("]");
                Ok(())
            }
            Form::Map(repeated, entry) => {
                let (open, close) = if entry.is_object { ("{", "}") } else { ("[", "]") };
                text.raw(open);
                self.each(*repeated, columns, text, |columns, text| entry.write(columns, text))?;
                text.raw(close);
                Ok(())
            }
        }
    }

    fn each(
        &self,
        repeated: Repeated,
        columns: &mut Columns,
        text: &mut Text,
        write: impl Fn(&mut Columns, &mut Text) -> Result<()>,
    ) -> Result<()> {
        if self.levels(columns)?.definition < repeated.definition {
            return self.skip(columns);
        }
        loop {
            write(columns, text)?;
            let next = columns[self.columns.start].levels()?;
            if next.is_none_or(|next| next.repetition < repeated.repetition) {
                return Ok(());
            }
            text.raw(",");
        }
    }

    /// At the first column, which stands for all.
    fn levels(&self, columns: &mut Columns) -> Result<Levels> {
        let levels = columns[self.columns.start].levels()?;
        levels.ok_or_else(|| ParquetError::General("a column has fewer values than rows".to_owned()))
    }

    fn skip(&self, columns: &mut Columns) -> Result<()> {
        columns[self.columns.clone()].iter_mut().try_for_each(|column| column.skip())
    }
}

impl Entry {
    fn write(&self, columns: &mut Columns, text: &mut Text) -> Result<()> {
        if !self.is_object {
            text.raw("{\"key\":");
        }
        let at = text.len();
        self.key.write(columns, text)?;
        if self.is_object && text.since(at) == b"null" {
            text.fail(ItemFault::Column(self.name.clone(), "a key that is null"));
        }
        text.raw(if self.is_object { ":" } else { ",\"value\":" });
        self.value.write(columns, text)?;
        if !self.is_object {
            text.raw("}");
        }
        Ok(())
    }
}

struct Builder<'a> {
    schema: &'a SchemaDescriptor,
    /// The next column.
    next: usize,
}

impl Builder<'_> {
    fn fields(&mut self, group: &Type, definition: i16, repetition: i16) -> Result<Vec<Field>> {
        let field = |field: &std::sync::Arc<Type>| {
            let name = field.name().to_owned();
            let key = format!("{}:", serde_json::Value::from(name.as_str()));
            Ok(Field { name, key, node: self.node(field, definition, repetition)? })
        };
        group.get_fields().iter().map(field).collect()
    }

    /// A field with what says how often it is there.
    fn node(&mut self, field: &Type, definition: i16, repetition: i16) -> Result<Node> {
        let first = self.next;
        let info = field.get_basic_info();
        let form = match info.has_repetition().then(|| info.repetition()) {
            Some(Repetition::OPTIONAL) => {
                Form::Optional(definition + 1, Box::new(self.one(field, definition + 1, repetition)?))
            }
            // Without an annotation: a list of what it is.
            Some(Repetition::REPEATED) => {
                let repeated = Repeated { definition: definition + 1, repetition: repetition + 1 };
                Form::List(repeated, Box::new(self.one(field, definition + 1, repetition + 1)?))
            }
            _ => return self.one(field, definition, repetition),
        };
        Ok(Node { columns: first..self.next, form })
    }

    /// A field that is there, once.
    fn one(&mut self, field: &Type, definition: i16, repetition: i16) -> Result<Node> {
        let first = self.next;
        if field.is_primitive() {
            self.next += 1;
            return Ok(Node { columns: first..self.next, form: Form::Leaf });
        }
        let form = match only_repeated(field) {
            Some(inner) if is_list(field) => {
                let repeated = Repeated { definition: definition + 1, repetition: repetition + 1 };
                let element = match inner_element(field, inner) {
                    Some(element) => self.node(element, definition + 1, repetition + 1)?,
                    None => self.one(inner, definition + 1, repetition + 1)?,
                };
                Form::List(repeated, Box::new(element))
            }
            Some(inner) if is_map(field) && inner.is_group() => {
                self.map(inner, field.name(), definition + 1, repetition + 1)?
            }
            _ => Form::Struct(self.fields(field, definition, repetition)?),
        };
        if self.next == first {
            return Err(ParquetError::General(format!("the group {} has no columns", field.name())));
        }
        Ok(Node { columns: first..self.next, form })
    }

    fn map(&mut self, entry: &Type, name: &str, definition: i16, repetition: i16) -> Result<Form> {
        let repeated = Repeated { definition, repetition };
        let [key, value] = entry.get_fields() else {
            // Keys without values are a list of them.
            let element = self.one(entry, definition, repetition)?;
            return Ok(Form::List(repeated, Box::new(element)));
        };
        let is_object = key.is_primitive() && {
            let column = self.schema.column(self.next);
            Kind::of(&column).is_key(column.physical_type())
        };
        let key = self.node(key, definition, repetition)?;
        let value = self.node(value, definition, repetition)?;
        Ok(Form::Map(repeated, Box::new(Entry { key, value, is_object, name: name.to_owned() })))
    }
}

/// The one child of a group, if it is repeated.
fn only_repeated(group: &Type) -> Option<&Type> {
    let [only] = group.get_fields() else { return None };
    let info = only.get_basic_info();
    (info.has_repetition() && info.repetition() == Repetition::REPEATED).then_some(only)
}

fn is_list(group: &Type) -> bool {
    let info = group.get_basic_info();
    matches!(info.logical_type_ref(), Some(LogicalType::List)) || info.converted_type() == ConvertedType::LIST
}

fn is_map(group: &Type) -> bool {
    let info = group.get_basic_info();
    matches!(info.logical_type_ref(), Some(LogicalType::Map))
        || matches!(info.converted_type(), ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE)
}

/// The element within the repeated group of a list; `None` where older writers repeat the element itself.
fn inner_element<'a>(list: &Type, repeated: &'a Type) -> Option<&'a Type> {
    if repeated.is_primitive() {
        return None;
    }
    let [element] = repeated.get_fields() else { return None };
    let is_old = repeated.name() == "array" || repeated.name() == format!("{}_tuple", list.name());
    (!is_old).then_some(element)
}
