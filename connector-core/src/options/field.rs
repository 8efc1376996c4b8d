//! The types that a field of options can have, and how its form field follows from the type.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Choice, Choices, Field, FieldKind, OptionErrors, same_text};
use crate::secret::Secret;

/// A type that a field of options can have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of options",
    label = "not `bool`, a number, `String`, `Secret`, an enum with `#[derive(Choices)]`, or an `Option` of those"
)]
pub trait OptionField: Sized {
    /// What the type takes.
    const TYPE: FieldType;

    /// May stay empty.
    const OPTIONAL: bool = false;

    /// Reads a value that fits [`Self::TYPE`]; none if it does not.
    fn read(value: Option<&Value>) -> Option<Self>;
}

/// What a field's type takes.
#[derive(Debug, Clone, Copy)]
pub enum FieldType {
    /// On or off.
    Boolean,
    /// A number in this range.
    Number {
        /// The least that the type holds; none without a limit.
        min: Option<f64>,
        /// The greatest that the type holds; none without a limit.
        max: Option<f64>,
        /// Without a fraction.
        integer: bool,
    },
    /// A text.
    Text {
        /// Of type [`Secret`].
        secret: bool,
    },
    /// One of a list.
    Select(&'static [Choice]),
}

impl OptionField for bool {
    const TYPE: FieldType = FieldType::Boolean;

    fn read(value: Option<&Value>) -> Option<Self> {
        value?.as_bool()
    }
}

/// The greatest whole number that JSON carries between programs without loss (RFC 8259 6).
const GREATEST_EXACT: f64 = 9_007_199_254_740_991.0;

macro_rules! integer_fields {
    ($($integer:ident: $min:expr, $max:expr;)*) => {$(
        impl OptionField for $integer {
            const TYPE: FieldType = FieldType::Number { min: Some($min), max: Some($max), integer: true };

            fn read(value: Option<&Value>) -> Option<Self> {
                let value = value?;
                let unsigned = value.as_u64().and_then(|number| Self::try_from(number).ok());
                unsigned.or_else(|| value.as_i64().and_then(|number| Self::try_from(number).ok()))
            }
        }
    )*};
}

integer_fields! {
    u8: 0.0, u8::MAX as f64;
    u16: 0.0, u16::MAX as f64;
    u32: 0.0, u32::MAX as f64;
    u64: 0.0, GREATEST_EXACT;
    usize: 0.0, if usize::BITS > 32 { GREATEST_EXACT } else { u32::MAX as f64 };
    i8: i8::MIN as f64, i8::MAX as f64;
    i16: i16::MIN as f64, i16::MAX as f64;
    i32: i32::MIN as f64, i32::MAX as f64;
    i64: -GREATEST_EXACT, GREATEST_EXACT;
    isize: if isize::BITS > 32 { -GREATEST_EXACT } else { i32::MIN as f64 }, if isize::BITS > 32 { GREATEST_EXACT } else { i32::MAX as f64 };
}

impl OptionField for f32 {
    const TYPE: FieldType =
        FieldType::Number { min: Some(f32::MIN as f64), max: Some(f32::MAX as f64), integer: false };

    fn read(value: Option<&Value>) -> Option<Self> {
        f64::read(value).map(|number| number as Self)
    }
}

impl OptionField for f64 {
    const TYPE: FieldType = FieldType::Number { min: None, max: None, integer: false };

    fn read(value: Option<&Value>) -> Option<Self> {
        value?.as_f64()
    }
}

impl OptionField for String {
    const TYPE: FieldType = FieldType::Text { secret: false };

    fn read(value: Option<&Value>) -> Option<Self> {
        value?.as_str().map(Self::from)
    }
}

impl OptionField for Secret {
    const TYPE: FieldType = FieldType::Text { secret: true };

    fn read(value: Option<&Value>) -> Option<Self> {
        value?.as_str().map(Self::new)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Choices> OptionField for T {
    const TYPE: FieldType = FieldType::Select(T::CHOICES);

    fn read(value: Option<&Value>) -> Option<Self> {
        T::from_id(value?.as_str()?)
    }
}

#[diagnostic::do_not_recommend]
impl<T: OptionField> OptionField for Option<T> {
    const TYPE: FieldType = T::TYPE;
    const OPTIONAL: bool = true;

    fn read(value: Option<&Value>) -> Option<Self> {
        match value {
            None | Some(Value::Null) => Some(None),
            Some(_) => T::read(value).map(Some),
        }
    }
}

/// What `#[option(…)]` says of a field beside its name, label and description.
#[derive(Debug, Clone, Copy)]
pub struct FieldSettings {
    /// Where the user says nothing.
    pub default: Option<FieldDefault>,
    /// Least.
    pub min: Option<f64>,
    /// Greatest.
    pub max: Option<f64>,
    /// Shown in the empty field.
    pub placeholder: Option<&'static str>,
    /// Must be given, although the type can be empty.
    pub required: bool,
    /// How to find out what to put in.
    pub help: Option<&'static str>,
    /// Where that is described.
    pub help_url: Option<&'static str>,
}

/// A default, as it was written.
#[derive(Debug, Clone, Copy)]
pub enum FieldDefault {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(f64),
    /// A text, or the id of a choice.
    Text(&'static str),
}

impl FieldSettings {
    /// Nothing is said.
    pub const NONE: Self =
        Self { default: None, min: None, max: None, placeholder: None, required: false, help: None, help_url: None };
}

/// A field of a struct of options, with the type that its form field follows from.
///
/// The type is judged once, when this is made; so a type that cannot be a field is one error.
pub struct TypedField<T> {
    /// The form field.
    pub field: Field,
    takes: FieldType,
    optional: bool,
    read: fn(Option<&Value>) -> Option<T>,
}

impl<T: OptionField> TypedField<T> {
    /// The field of type `T`.
    ///
    /// A setting that does not fit the type is left out here, and reported by the checks below.
    #[track_caller]
    pub const fn new(
        name: &'static str,
        label: &'static str,
        description: &'static str,
        settings: FieldSettings,
    ) -> Self {
        assert!(
            !(T::OPTIONAL && matches!(T::TYPE, FieldType::Boolean)),
            "a field that is on or off is never empty: make it a `bool`, or an enum with `#[derive(Choices)]` if there is a third state"
        );
        let required = settings.required || (!T::OPTIONAL && settings.default.is_none());
        let kind = match T::TYPE {
            FieldType::Boolean => {
                FieldKind::Boolean { default: matches!(settings.default, Some(FieldDefault::Boolean(true))) }
            }
            FieldType::Number { min, max, integer } => FieldKind::Number {
                default: match settings.default {
                    Some(FieldDefault::Number(number)) => Some(number),
                    _ => None,
                },
                min: either(settings.min, min),
                max: either(settings.max, max),
                integer,
                required,
            },
            FieldType::Text { secret } => FieldKind::Text {
                default: settings.text_default(),
                placeholder: settings.placeholder,
                secure: secret,
                required,
                help: settings.help,
                help_url: settings.help_url,
            },
            FieldType::Select(choices) => FieldKind::Select { choices, default: settings.text_default(), required },
        };
        Self { field: Field { name, label, description, kind }, takes: T::TYPE, optional: T::OPTIONAL, read: T::read }
    }
}

/// What does not fit the type stops the compilation, at the setting that the derive emits the call for.
impl<T> TypedField<T> {
    /// `min` or `max` is this number.
    #[track_caller]
    pub const fn check_limit(&self, number: f64) {
        assert!(
            matches!(self.takes, FieldType::Number { .. }),
            "`min` and `max` are for numbers, and this field is none"
        );
        assert!(self.holds(number), "the type of the field does not hold this number");
    }

    /// The default is this.
    #[track_caller]
    #[expect(clippy::panic, reason = "in constant code it is a compile error")]
    pub const fn check_default(&self, default: FieldDefault) {
        assert!(
            !matches!(self.takes, FieldType::Text { secret: true }),
            "a secure option has no default: it would be in the program for everyone to read"
        );
        assert!(!self.optional, "the default of an `Option` is to be empty: leave out `Option`, or `default`");
        match (self.takes, default) {
            (FieldType::Boolean, FieldDefault::Boolean(_)) | (FieldType::Text { .. }, FieldDefault::Text(_)) => {}
            (FieldType::Number { .. }, FieldDefault::Number(number)) => {
                assert!(self.holds(number), "the type of the field does not hold this number");
            }
            (FieldType::Select(choices), FieldDefault::Text(id)) => {
                assert!(has_choice(choices, id), "this is the id of none of the choices");
            }
            (FieldType::Boolean, _) => {
                panic!("the field is on or off, so its default is `true` or `false`")
            }
            (FieldType::Number { .. }, _) => panic!("the field is a number, so its default is one"),
            (FieldType::Text { .. }, _) => {
                panic!("the field is a text, so its default is a text in quotes")
            }
            (FieldType::Select(_), _) => {
                panic!("the field is one of a list, so its default is a variant of its enum")
            }
        }
    }

    /// A setting that is for texts.
    #[track_caller]
    pub const fn check_text(&self) {
        assert!(matches!(self.takes, FieldType::Text { .. }), "this is for texts, and the field is none");
    }

    /// `secure` is said.
    #[track_caller]
    pub const fn check_secure(&self) {
        assert!(
            matches!(self.takes, FieldType::Text { secret: true }),
            "a secure option is of type `Secret`, which cannot be logged or serialized"
        );
    }

    /// `required` is said.
    #[track_caller]
    pub const fn check_required(&self) {
        assert!(!self.optional, "an `Option` may be empty: leave out `Option`, or `required`");
        assert!(
            !matches!(self.takes, FieldType::Boolean),
            "a `bool` is on or off, so it is never missing: leave out `required`"
        );
    }

    const fn holds(&self, number: f64) -> bool {
        let FieldType::Number { min, max, integer } = self.takes else {
            return true;
        };
        let above = match min {
            Some(min) => number >= min,
            None => true,
        };
        let below = match max {
            Some(max) => number <= max,
            None => true,
        };
        above && below && !(integer && number % 1.0 != 0.0)
    }
}

const fn has_choice(mut choices: &[Choice], id: &str) -> bool {
    while let Some((choice, rest)) = choices.split_first() {
        if same_text(choice.id, id) {
            return true;
        }
        choices = rest;
    }
    false
}

impl FieldSettings {
    const fn text_default(&self) -> Option<&'static str> {
        match self.default {
            Some(FieldDefault::Text(text)) => Some(text),
            _ => None,
        }
    }
}

const fn either(first: Option<f64>, second: Option<f64>) -> Option<f64> {
    if first.is_some() { first } else { second }
}

/// Reads the fields of a struct of options, and keeps what is wrong.
pub struct OptionReader<'a> {
    values: &'a Map<String, Value>,
    errors: BTreeMap<String, String>,
}

impl<'a> OptionReader<'a> {
    /// Reads from values by field name.
    pub fn new(values: &'a Map<String, Value>) -> Self {
        Self { values, errors: BTreeMap::new() }
    }

    /// Reads one field, which takes its default where the values have none.
    pub fn read<T>(&mut self, typed: &TypedField<T>) -> Option<T> {
        let given = self.values.get(typed.field.name).filter(|value| !value.is_null());
        let read = typed.field.value(given).and_then(|value| {
            (typed.read)(value.as_ref()).ok_or_else(|| "does not fit the type of the field".to_owned())
        });
        read.map_err(|message| self.errors.insert(typed.field.name.to_owned(), message)).ok()
    }

    /// What was wrong.
    pub fn into_errors(self) -> OptionErrors {
        OptionErrors(self.errors)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::OptionsDeclaration;
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Window {
        Day,
        Week,
    }

    impl Choices for Window {
        const CHOICES: &'static [Choice] = &[Choice { id: "day", label: "Day" }, Choice { id: "week", label: "Week" }];

        fn from_id(id: &str) -> Option<Self> {
            match id {
                "day" => Some(Self::Day),
                "week" => Some(Self::Week),
                _ => None,
            }
        }

        fn id(&self) -> &'static str {
            match self {
                Self::Day => "day",
                Self::Week => "week",
            }
        }
    }

    const NONE: FieldSettings = FieldSettings::NONE;
    const LIVE: TypedField<bool> = TypedField::new("live", "Live", "", NONE);
    const DEPTH: TypedField<u8> =
        TypedField::new("depth", "Depth", "", FieldSettings { default: Some(FieldDefault::Number(3.0)), ..NONE });
    const LIMIT: TypedField<Option<i64>> = TypedField::new("limit", "Limit", "", NONE);
    const WINDOW: TypedField<Window> =
        TypedField::new("window", "Window", "", FieldSettings { default: Some(FieldDefault::Text("week")), ..NONE });
    const KEY: TypedField<Secret> = TypedField::new("key", "Key", "", NONE);

    static FORM: OptionsDeclaration =
        OptionsDeclaration { fields: &[LIVE.field, DEPTH.field, LIMIT.field, WINDOW.field, KEY.field] };

    /// R2.1: what a field takes follows from its type.
    #[test]
    fn the_form_follows_from_the_types() {
        let form = serde_json::to_value(FORM).unwrap();
        assert_eq!(form[0]["type"], "boolean");
        assert_eq!(
            (&form[1]["min"], &form[1]["max"], &form[1]["required"]),
            (&json!(0.0), &json!(255.0), &json!(false))
        );
        assert_eq!(form[2]["required"], false);
        assert_eq!(form[3]["choices"][1]["id"], "week");
        assert_eq!((&form[4]["secure"], &form[4]["required"]), (&json!(true), &json!(true)));
        assert!(FORM.has_secure("key") && FORM.has("live"));
        assert!(!FORM.has_secure("live") && !FORM.has("kex"));
    }

    /// R2.2, R2.4: what passes the validation is read; what is absent takes its default.
    #[test]
    fn validated_values_are_read() {
        let sent = json!({"key": "k", "limit": 9_007_199_254_740_991_i64});
        let values = FORM.validate(sent.as_object().unwrap(), &Map::new()).unwrap();
        let mut reader = OptionReader::new(&values);
        assert_eq!(reader.read(&LIVE), Some(false));
        assert_eq!(reader.read(&DEPTH), Some(3));
        assert_eq!(reader.read(&LIMIT), Some(Some(9_007_199_254_740_991)));
        assert_eq!(reader.read(&WINDOW), Some(Window::Week));
        assert_eq!(reader.read(&KEY).unwrap().expose(), "k");
        assert!(reader.into_errors().0.is_empty());
    }

    /// R2.2: a number that the type cannot hold is refused by the validation, not when it is read.
    #[test]
    fn the_range_of_the_type_is_validated() {
        let sent = json!({"depth": 256, "limit": 1e18, "key": "k"});
        let errors = FORM.validate(sent.as_object().unwrap(), &Map::new()).unwrap_err();
        assert_eq!(errors.0.keys().collect::<Vec<_>>(), ["depth", "limit"]);
    }

    /// R2.2: all mistakes at once, by field.
    #[test]
    fn unreadable_fields_are_named() {
        let values = json!({"window": "year"});
        let mut reader = OptionReader::new(values.as_object().unwrap());
        assert_eq!(reader.read(&WINDOW), None);
        assert_eq!(reader.read(&KEY).map(|_| ()), None);
        assert_eq!(reader.into_errors().0.keys().collect::<Vec<_>>(), ["key", "window"]);
    }
}
