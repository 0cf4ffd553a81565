//! One place in a message, read by itself: what stands before and after it is passed over.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Where something stands in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    field: &'static str,
    /// Which item of the list there; `None`: the whole field.
    item: Option<usize>,
}

impl Place {
    /// Names a field of the message.
    pub(super) const fn field(field: &'static str) -> Self {
        Self { field, item: None }
    }

    /// Names an item of the list in a field, counted from 0.
    pub(super) const fn item(field: &'static str, item: usize) -> Self {
        Self { field, item: Some(item) }
    }
}

/// Reads what stands in a place of an object by `seed`; `None`: nothing does.
#[derive(Debug)]
pub(super) struct At<S> {
    pub(super) place: Place,
    pub(super) seed: S,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for At<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, object: D) -> Result<Self::Value, D::Error> {
        object.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for At<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Self { place, seed } = self;
        let (mut seed, mut found) = (Some(seed), None);
        while let Some(field) = map.next_key::<String>()? {
            match seed.take_if(|_| field == place.field) {
                Some(seed) => {
                    found = match place.item {
                        None => Some(map.next_value_seed(seed)?),
                        Some(item) => map.next_value_seed(Item { item, seed })?,
                    };
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

/// Reads one item of a list.
struct Item<S> {
    item: usize,
    seed: S,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Item<S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, list: D) -> Result<Self::Value, D::Error> {
        list.deserialize_seq(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for Item<S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.item {
            if list.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = list.next_element_seed(self.seed)?;
        while list.next_element_seed(PhantomData::<IgnoredAny>)?.is_some() {}
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(place: Place, text: &str) -> Result<Option<Value>, serde_json::Error> {
        let seed = PhantomData::<Value>;
        At { place, seed }.deserialize(&mut serde_json::Deserializer::from_str(text))
    }

    #[test]
    fn one_place_is_read_and_the_rest_passed_over() {
        let text = r#"{"id": {"a": [1]}, "result": [false, {"b": 1}, 3], "error": null}"#;
        for (place, expected) in [
            (Place::field("id"), Some(json!({"a": [1]}))),
            (Place::item("result", 0), Some(json!(false))),
            (Place::item("result", 2), Some(json!(3))),
            (Place::item("result", 3), None),
            (Place::field("params"), None),
            (Place::item("params", 0), None),
        ] {
            assert_eq!(read(place, text).unwrap(), expected, "{place:?}");
        }
        assert!(read(Place::item("id", 0), text).is_err());
        assert!(read(Place::field("id"), "[]").is_err());
    }
}
