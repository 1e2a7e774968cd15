//! The tree of a column: how its leaves make one JSON value a record.
//!
//! Invariant: a level that does not fit is a complaint about that record, never a panic, and recursion is as deep as the
//! schema, which is bounded. Lists and maps as the format's `LogicalTypes.md` has them, old writers' forms included.

use std::ops::Range;

use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::schema::types::Type;
use serde_json::{Map, Value};

use super::leaf::Leaf;

/// Deeper schemas are refused.
const DEPTH_MAX: usize = 32;

const MISFIT: &str = "is damaged: its levels do not fit together";

/// A column, or a part of one.
pub(super) struct Node {
    /// The leaves below, by their place in the file.
    leaves: Range<usize>,
    /// The definition level from which on it is not null.
    present: i16,
    shape: Shape,
}

enum Shape {
    Leaf,
    Group(Vec<(String, Node)>),
    List { element: Box<Node>, filled: i16, repetition: i16 },
    Map { key: Box<Node>, value: Box<Node>, filled: i16, repetition: i16 },
}

/// Where in the schema a node stands.
#[derive(Clone, Copy)]
struct Level {
    definition: i16,
    repetition: i16,
    depth: usize,
}

impl Level {
    fn below(self, repetition: Repetition) -> Self {
        let depth = self.depth + 1;
        match repetition {
            Repetition::REQUIRED => Self { depth, ..self },
            Repetition::OPTIONAL => Self { definition: self.definition + 1, depth, ..self },
            Repetition::REPEATED => Self { definition: self.definition + 1, repetition: self.repetition + 1, depth },
        }
    }
}

impl Node {
    /// The tree under a column of the schema; `leaf` counts the leaves passed so far.
    pub fn of(column: &Type, leaf: &mut usize) -> Result<Self, &'static str> {
        Self::field(column, Level { definition: 0, repetition: 0, depth: 0 }, leaf)
    }

    fn field(field: &Type, above: Level, leaf: &mut usize) -> Result<Self, &'static str> {
        if above.depth > DEPTH_MAX {
            return Err("is nested too deeply");
        }
        let info = field.get_basic_info();
        let repetition = if info.has_repetition() { info.repetition() } else { Repetition::REQUIRED };
        let level = above.below(repetition);
        if repetition == Repetition::REPEATED {
            let start = *leaf;
            let element = Box::new(Self::shaped(field, level, leaf)?);
            let shape = Shape::List { element, filled: level.definition, repetition: level.repetition };
            return Ok(Self { leaves: start..*leaf, present: above.definition, shape });
        }
        Self::shaped(field, level, leaf)
    }

    /// The node of `field`, whose own repetition `level` counts already.
    fn shaped(field: &Type, level: Level, leaf: &mut usize) -> Result<Self, &'static str> {
        let start = *leaf;
        let info = field.get_basic_info();
        let shape = if field.is_primitive() {
            *leaf += 1;
            Shape::Leaf
        } else if matches!(info.logical_type_ref(), Some(LogicalType::List))
            || info.converted_type() == ConvertedType::LIST
        {
            Self::list(field, level, leaf)?
        } else if matches!(info.logical_type_ref(), Some(LogicalType::Map))
            || matches!(info.converted_type(), ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE)
        {
            Self::map(field, level, leaf)?
        } else {
            let fields = field.get_fields().iter();
            let fields = fields.map(|field| Ok((field.name().to_owned(), Self::field(field, level, leaf)?)));
            Shape::Group(fields.collect::<Result<_, &'static str>>()?)
        };
        if start == *leaf {
            return Err("is a group without fields");
        }
        Ok(Self { leaves: start..*leaf, present: level.definition, shape })
    }

    fn list(field: &Type, level: Level, leaf: &mut usize) -> Result<Shape, &'static str> {
        let [repeated] = field.get_fields() else { return Err("is a list without elements") };
        let below = level.below(Repetition::REPEATED);
        let name = repeated.name();
        let wraps = !repeated.is_primitive() && name != "array" && name != format!("{}_tuple", field.name());
        let element = match if wraps { repeated.get_fields() } else { &[] } {
            [element] => Self::field(element, below, leaf)?,
            _ => Self::shaped(repeated, below, leaf)?,
        };
        Ok(Shape::List { element: Box::new(element), filled: below.definition, repetition: below.repetition })
    }

    fn map(field: &Type, level: Level, leaf: &mut usize) -> Result<Shape, &'static str> {
        let [entry] = field.get_fields() else { return Err("is a map without entries") };
        let pair = if entry.is_primitive() { &[] } else { entry.get_fields() };
        let [key, value] = pair else { return Err("is a map without keys and values") };
        let below = level.below(Repetition::REPEATED);
        let key = Box::new(Self::field(key, below, leaf)?);
        let value = Box::new(Self::field(value, below, leaf)?);
        Ok(Shape::Map { key, value, filled: below.definition, repetition: below.repetition })
    }

    /// The leaf, if this is a column without parts.
    pub fn leaf(&self) -> Option<usize> {
        matches!(self.shape, Shape::Leaf).then_some(self.leaves.start)
    }

    /// The leaf of the elements, if this is a list of them.
    pub fn elements(&self) -> Option<usize> {
        if let Shape::List { element, .. } = &self.shape { element.leaf() } else { None }
    }

    /// The value of the record on which all leaves stand, which must be all that the record holds here.
    pub fn record(&self, leaves: &mut [Leaf]) -> Result<Value, &'static str> {
        let value = self.value(leaves)?;
        let below = leaves.get(self.leaves.clone()).unwrap_or_default();
        if below.iter().all(|leaf| leaf.definition().is_none()) { Ok(value) } else { Err(MISFIT) }
    }

    fn value(&self, leaves: &mut [Leaf]) -> Result<Value, &'static str> {
        let first = leaves.get(self.leaves.start).ok_or(MISFIT)?;
        let definition = first.definition().ok_or(MISFIT)?;
        if definition < self.present {
            self.pass(leaves)?;
            return Ok(Value::Null);
        }
        match &self.shape {
            Shape::Leaf => {
                let leaf = leaves.get_mut(self.leaves.start).ok_or(MISFIT)?;
                let at = leaf.take().ok_or(MISFIT)?;
                leaf.kind().json(leaf.values(), at)
            }
            Shape::Group(fields) => {
                let members = fields.iter().map(|(name, field)| Ok((name.clone(), field.value(leaves)?)));
                members.collect::<Result<Map<_, _>, _>>().map(Value::Object)
            }
            Shape::List { element, filled, repetition } => {
                let mut list = Vec::new();
                self.repeat(leaves, definition >= *filled, *repetition, |leaves| {
                    list.push(element.value(leaves)?);
                    Ok(())
                })?;
                Ok(Value::Array(list))
            }
            Shape::Map { key, value, filled, repetition } => {
                let mut map = Map::new();
                self.repeat(leaves, definition >= *filled, *repetition, |leaves| {
                    let name = match key.value(leaves)? {
                        Value::String(name) => name,
                        Value::Null => return Err("is a map with a null as key"),
                        other => other.to_string(),
                    };
                    let repeated = map.insert(name, value.value(leaves)?).is_some();
                    if repeated { Err("is a map that repeats a key") } else { Ok(()) }
                })?;
                Ok(Value::Object(map))
            }
        }
    }

    /// Runs `each` for every element, as the repetition level says.
    fn repeat(
        &self,
        leaves: &mut [Leaf],
        is_filled: bool,
        repetition: i16,
        mut each: impl FnMut(&mut [Leaf]) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        if !is_filled {
            return self.pass(leaves);
        }
        loop {
            each(leaves)?;
            let next = leaves.get(self.leaves.start).and_then(Leaf::next_repetition);
            if next != Some(repetition) {
                return Ok(());
            }
        }
    }

    /// Passes over one level of every leaf below: there is nothing in it.
    fn pass(&self, leaves: &mut [Leaf]) -> Result<(), &'static str> {
        let below = leaves.get_mut(self.leaves.clone()).ok_or(MISFIT)?;
        if below.iter_mut().filter_map(Leaf::take).count() == 0 { Ok(()) } else { Err(MISFIT) }
    }
}
