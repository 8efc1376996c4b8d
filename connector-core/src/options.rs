//! Options of a connector: one declaration makes the settings form, the JSON Schema, the validation
//! of what a user sends, and the typed value that the connector reads (R2).

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

mod field;

pub use field::{FieldDefault, FieldSettings, FieldType, OptionField, OptionReader, TypedField};

/// A struct of options; implemented by `#[derive(Options)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a set of options",
    label = "not a struct with `#[derive(Options)]`",
    note = "add `#[derive(Options)]` to the struct; each field is a form field"
)]
pub trait Options: Sized + Send + Sync + 'static {
    /// The form.
    const DECLARATION: &'static OptionsDeclaration;

    /// Reads the value from validated values by field name; a field that is absent takes its default.
    fn from_values(values: &Map<String, Value>) -> Result<Self, OptionErrors>;
}

impl Options for () {
    const DECLARATION: &'static OptionsDeclaration = &OptionsDeclaration { fields: &[] };

    fn from_values(_: &Map<String, Value>) -> Result<Self, OptionErrors> {
        Ok(())
    }
}

/// An enum that a select field chooses from; implemented by `#[derive(Choices)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of choices",
    label = "not an enum with `#[derive(Choices)]`",
    note = "add `#[derive(Choices)]` to the enum; each variant is a choice"
)]
pub trait Choices: Sized {
    /// Id and label of each.
    const CHOICES: &'static [Choice];

    /// The one with this id.
    fn from_id(id: &str) -> Option<Self>;

    /// The id of this one.
    fn id(&self) -> &'static str;
}

/// One thing that a select field offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Stored.
    pub id: &'static str,
    /// Shown.
    pub label: &'static str,
}

/// A form: its fields, in the order shown.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(transparent)]
pub struct OptionsDeclaration {
    /// The fields.
    pub fields: &'static [Field],
}

/// One field of a form (R2.1).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Field {
    /// The name of the struct's field.
    pub name: &'static str,
    /// Shown.
    pub label: &'static str,
    /// From the doc comment.
    pub description: &'static str,
    /// What can be put in.
    #[serde(flatten)]
    pub kind: FieldKind,
}

/// What can be put in a field.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FieldKind {
    /// On or off.
    Boolean {
        /// Where the user says nothing.
        default: bool,
    },
    /// A number.
    Number {
        /// Where the user says nothing; none if it may stay empty.
        default: Option<f64>,
        /// Least.
        min: Option<f64>,
        /// Greatest.
        max: Option<f64>,
        /// Without a fraction.
        integer: bool,
        /// Must be given.
        required: bool,
    },
    /// A text.
    Text {
        /// Where the user says nothing.
        default: Option<&'static str>,
        /// Shown in the empty field.
        placeholder: Option<&'static str>,
        /// Encrypted at rest, never shown again (R2.3).
        secure: bool,
        /// Must be given.
        required: bool,
        /// How to find out what to put in.
        help: Option<&'static str>,
        /// Where that is described.
        help_url: Option<&'static str>,
    },
    /// One of a list.
    Select {
        /// The list.
        choices: &'static [Choice],
        /// The id where the user says nothing; none if it may stay empty.
        default: Option<&'static str>,
        /// Must be given.
        required: bool,
    },
}

/// What is wrong with the options that a user sent: every mistake, by field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", self.list())]
#[serde(transparent)]
pub struct OptionErrors(pub BTreeMap<String, String>);

impl OptionErrors {
    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn list(&self) -> String {
        let lines: Vec<_> = self.0.iter().map(|(field, message)| format!("{field}: {message}")).collect();
        lines.join("; ")
    }
}

/// What stored values give, as a declaration has its fields now.
#[derive(Debug, Clone, PartialEq)]
pub struct FittedOptions {
    /// The values, by field.
    pub values: Map<String, Value>,
    /// What the fields need that must be given and have no value.
    pub missing: OptionErrors,
}

/// The one member of the object that a sealed option is stored as. An option in the clear is never an object.
const SEALED: &str = "sealed";

/// The form in which a sealed text is stored among the options of a connection.
pub(crate) fn sealed(text: String) -> Value {
    json!({ SEALED: text })
}

/// The sealed text of an option that is stored sealed.
pub(crate) fn sealed_text(stored: &Value) -> Option<&str> {
    stored.as_object()?.get(SEALED)?.as_str()
}

/// Whether an option of a connection is stored sealed: its value is for the connector alone.
pub fn is_sealed(stored: &Value) -> bool {
    sealed_text(stored).is_some()
}

impl OptionsDeclaration {
    /// Whether there is a field with this name.
    pub const fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Whether there is a field with this name, and it is secure.
    pub const fn has_secure(&self, name: &str) -> bool {
        match self.find(name) {
            Some(field) => field.secure(),
            None => false,
        }
    }

    /// Whether there is a field with this name, and it must be given.
    pub const fn has_required(&self, name: &str) -> bool {
        match self.find(name) {
            Some(field) => field.required(),
            None => false,
        }
    }

    /// As [`Self::field`], in constant code.
    const fn find(&self, name: &str) -> Option<&'static Field> {
        let mut fields = self.fields;
        while let Some((field, rest)) = fields.split_first() {
            if same_text(field.name, name) {
                return Some(field);
            }
            fields = rest;
        }
        None
    }

    /// The field with this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Checks what a user sent, and fills in the defaults. A secure field that is left out of
    /// `sent` but is in `kept` stays as it is (a form never gets its value back).
    pub fn validate(
        &self,
        sent: &Map<String, Value>,
        kept: &Map<String, Value>,
    ) -> Result<Map<String, Value>, OptionErrors> {
        let mut errors = BTreeMap::new();
        let mut values = Map::new();
        for name in sent.keys().filter(|name| self.field(name).is_none()) {
            let known: Vec<_> = self.fields.iter().map(|field| field.name).collect();
            let known =
                if known.is_empty() { "there are none".to_owned() } else { format!("there are {}", known.join(", ")) };
            errors.insert(name.clone(), format!("no such option; {known}"));
        }
        for field in self.fields {
            let given = sent.get(field.name).or_else(|| kept.get(field.name)).filter(|value| !value.is_null());
            match field.value(given) {
                Ok(Some(value)) => {
                    values.insert(field.name.to_owned(), value);
                }
                Ok(None) => {}
                Err(message) => {
                    errors.insert(field.name.to_owned(), message);
                }
            }
        }
        if errors.is_empty() { Ok(values) } else { Err(OptionErrors(errors)) }
    }

    /// The options that stored values give, which an earlier declaration may have checked (R11.11). A value that does
    /// not fit its field any more gives way to the default; a value of no field is left out.
    pub fn fit(&self, stored: &Map<String, Value>) -> FittedOptions {
        let (mut values, mut missing) = (Map::new(), BTreeMap::new());
        for field in self.fields {
            let given = stored.get(field.name).filter(|value| !value.is_null());
            let fitting = match given {
                Some(sealed) if is_sealed(sealed) => match field.kind {
                    FieldKind::Text { .. } => Ok(Some(sealed.clone())),
                    _ => Err("must be given again".to_owned()),
                },
                given => field.value(given),
            };
            let value = fitting.unwrap_or_else(|reason| {
                let default = field.default();
                if default.is_none() && field.required() {
                    missing.insert(field.name.to_owned(), reason);
                }
                default
            });
            values.extend(value.map(|value| (field.name.to_owned(), value)));
        }
        FittedOptions { values, missing: OptionErrors(missing) }
    }

    /// The JSON Schema of what a user sends.
    pub fn json_schema(&self) -> Value {
        let properties: Map<_, _> =
            self.fields.iter().map(|field| (field.name.to_owned(), field.json_schema())).collect();
        let required: Vec<_> = self.fields.iter().filter(|field| field.required()).map(|field| field.name).collect();
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
    }
}

impl Field {
    /// Encrypted at rest and never shown again.
    pub const fn secure(&self) -> bool {
        matches!(self.kind, FieldKind::Text { secure: true, .. })
    }

    /// Must be given by the user.
    pub const fn required(&self) -> bool {
        match self.kind {
            FieldKind::Boolean { .. } => false,
            FieldKind::Number { required, .. }
            | FieldKind::Text { required, .. }
            | FieldKind::Select { required, .. } => required,
        }
    }

    /// What is used where the user says nothing.
    pub fn default(&self) -> Option<Value> {
        match self.kind {
            FieldKind::Boolean { default } => Some(Value::Bool(default)),
            FieldKind::Number { default, integer, .. } => default.map(|number| number_value(number, integer)),
            FieldKind::Text { default, .. } | FieldKind::Select { default, .. } => default.map(Value::from),
        }
    }

    fn value(&self, given: Option<&Value>) -> Result<Option<Value>, String> {
        let Some(given) =
            given.filter(|value| !(self.required() && value.as_str().is_some_and(|text| text.trim().is_empty())))
        else {
            return if self.required() && self.default().is_none() {
                Err("must be given".to_owned())
            } else {
                Ok(self.default())
            };
        };
        match self.kind {
            FieldKind::Boolean { .. } => match given {
                Value::Bool(_) => Ok(Some(given.clone())),
                Value::String(text) if text == "true" => Ok(Some(Value::Bool(true))),
                Value::String(text) if text == "false" => Ok(Some(Value::Bool(false))),
                _ => Err("must be true or false".to_owned()),
            },
            FieldKind::Number { min, max, integer, .. } => {
                let number = given.as_f64().or_else(|| given.as_str().and_then(|text| text.trim().parse().ok()));
                let Some(number) = number.filter(|number: &f64| number.is_finite()) else {
                    return Err("must be a number".to_owned());
                };
                if integer && number.fract() != 0.0 {
                    return Err("must be a whole number".to_owned());
                }
                match (min, max) {
                    (Some(min), Some(max)) if number < min || number > max => {
                        Err(format!("must be from {min} to {max}"))
                    }
                    (Some(min), None) if number < min => Err(format!("must be at least {min}")),
                    (None, Some(max)) if number > max => Err(format!("must be at most {max}")),
                    _ => Ok(Some(number_value(number, integer))),
                }
            }
            FieldKind::Text { .. } => match given {
                Value::String(_) => Ok(Some(given.clone())),
                _ => Err("must be a text".to_owned()),
            },
            FieldKind::Select { choices, .. } => match given.as_str() {
                Some(id) if choices.iter().any(|choice| choice.id == id) => Ok(Some(given.clone())),
                _ => {
                    let ids: Vec<_> = choices.iter().map(|choice| choice.id).collect();
                    Err(format!("must be one of {}", ids.join(", ")))
                }
            },
        }
    }

    fn json_schema(&self) -> Value {
        let mut schema = Map::new();
        let mut set = |keyword: &str, value: Value| {
            schema.insert(keyword.to_owned(), value);
        };
        match self.kind {
            FieldKind::Boolean { .. } => set("type", "boolean".into()),
            FieldKind::Number { min, max, integer, .. } => {
                set("type", if integer { "integer" } else { "number" }.into());
                for (keyword, limit) in [("minimum", min), ("maximum", max)] {
                    if let Some(limit) = limit {
                        set(keyword, number_value(limit, integer));
                    }
                }
            }
            FieldKind::Text { secure, .. } => {
                set("type", "string".into());
                if secure {
                    set("writeOnly", true.into());
                }
            }
            FieldKind::Select { choices, .. } => {
                set("type", "string".into());
                set("enum", choices.iter().map(|choice| choice.id).collect());
            }
        }
        set("title", self.label.into());
        if !self.description.is_empty() {
            set("description", self.description.into());
        }
        if let Some(default) = self.default() {
            set("default", default);
        }
        Value::Object(schema)
    }
}

/// A whole number is written without a fraction, so that it reads back as an integer.
fn number_value(number: f64, integer: bool) -> Value {
    if integer && number.abs() < 9_007_199_254_740_992.0 { Value::from(number as i64) } else { Value::from(number) }
}

/// `==` of texts, which constant code cannot use yet.
pub(crate) const fn same_text(left: &str, right: &str) -> bool {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while let (Some((first, left_rest)), Some((second, right_rest))) = (left.split_first(), right.split_first()) {
        if *first != *second {
            return false;
        }
        (left, right) = (left_rest, right_rest);
    }
    left.is_empty() && right.is_empty()
}
