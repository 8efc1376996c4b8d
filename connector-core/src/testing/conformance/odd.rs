//! Items that are not as the description of the service has them (L42).

use serde_json::Value;

use crate::network::Response;

/// What is odd about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Odd {
    /// There is a null in its place.
    Null,
    /// Its numbers are texts; where it has none, its texts are numbers.
    Types,
}

impl Odd {
    /// Makes the item with this title odd in every list of an answer. What is no list stays as it is.
    pub(super) fn strike(self, response: &mut Response, title: &str) {
        let Ok(mut body) = serde_json::from_slice(&response.body) else { return };
        if self.change(&mut body, title) {
            response.body = body.to_string().into();
        }
    }

    /// False if there is no such item in a list.
    fn change(self, value: &mut Value, title: &str) -> bool {
        match value {
            Value::Object(fields) => {
                fields.values_mut().fold(false, |changed, field| self.change(field, title) | changed)
            }
            Value::Array(items) => {
                let mut changed = false;
                for item in items.iter_mut().filter(|item| item.is_object() && item.to_string().contains(title)) {
                    // The innermost list that has it.
                    if !self.change(item, title) {
                        self.distort(item);
                    }
                    changed = true;
                }
                changed
            }
            _ => false,
        }
    }

    fn distort(self, item: &mut Value) {
        let Value::Object(fields) = item else { return };
        let has_numbers = fields.values().any(Value::is_number);
        match self {
            Self::Null => *item = Value::Null,
            Self::Types if has_numbers => {
                fields.values_mut().filter(|field| field.is_number()).for_each(|field| *field = "seven".into());
            }
            Self::Types => fields.values_mut().filter(|field| field.is_string()).for_each(|field| *field = 7.into()),
        }
    }
}
