//! Reads a struct of options, and checks what can be checked without knowing the types of its fields.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Expr, ExprLit, ExprPath, ExprUnary, Fields, Lit, Type, UnOp};

use super::{Default, DefaultValue, Field, Number, Options, Text};
use crate::attrs::{self, Arg, Args};
use crate::errors::Errors;
use crate::{case, docs};

const ARGUMENTS: &[&str] = &["label", "default", "min", "max", "placeholder", "secure", "required", "help", "help_url"];

/// Reads the struct; nothing if it cannot be a form.
pub(super) fn options(item: DeriveInput, errors: &Errors) -> Option<Options> {
    let name = item.ident;
    let Data::Struct(data) = item.data else {
        errors.at(
            &name,
            format!("`{name}` is no struct: `#[derive(Options)]` makes a form field of each field of a struct"),
        );
        return None;
    };
    if !item.generics.params.is_empty() {
        errors.at(
            &item.generics,
            format!("`{name}` has generic parameters; a form has one type for each field, so it has none"),
        );
        return None;
    }
    let fields = match data.fields {
        Fields::Named(fields) => fields.named.into_iter().filter_map(|of| field(of, errors)).collect(),
        Fields::Unit => Vec::new(),
        Fields::Unnamed(fields) => {
            errors.at(&fields, format!("the fields of `{name}` have no names; an option is stored by its name: `struct {name} {{ name: … }}`"));
            return None;
        }
    };
    Some(Options { name, fields })
}

fn field(field: syn::Field, errors: &Errors) -> Option<Field> {
    let ident = field.ident?;
    let mut args = Args::default();
    for attr in field.attrs.iter().filter(|attr| attrs::is_ours(attr, "option")) {
        args = Args::of(attr, errors);
        args.check("`#[option]`", ARGUMENTS, &[], errors);
    }
    let text = |name| {
        let arg = args.get(name)?;
        arg.text(errors).map(|value| Text { name: arg.name.clone(), value })
    };
    let flag = |name| args.get(name).filter(|arg| arg.flag(errors)).map(|arg| arg.name.span());
    let words = case::sentence(&ident.unraw().to_string());
    let mut field = Field {
        label: args.text("label", errors).map_or_else(|| words.to_token_stream(), |label| label.to_token_stream()),
        description: docs::description(&field.attrs),
        default: args.get("default").and_then(|arg| default(arg, &field.ty, errors)),
        min: args.get("min").and_then(|arg| number(arg, errors)),
        max: args.get("max").and_then(|arg| number(arg, errors)),
        placeholder: text("placeholder"),
        help: text("help"),
        help_url: text("help_url"),
        secure: flag("secure"),
        required: flag("required"),
        ty: field.ty,
        ident,
    };
    check_range(&mut field, errors);
    if let Some(arg) = args.get("default") {
        if field.secure.is_some() {
            errors.at(
                arg.value_tokens(),
                "a secure option has no default: it would be in the program for everyone to read",
            );
            field.default = None;
        } else if field.required.take().is_some() {
            let problem =
                "an option with a default is never missing, so it is not `required`: leave out one of the two";
            errors.at(args.get("required").map(|arg| &arg.name), problem);
        }
    } else if let Some(arg) = args.get("required").filter(|arg| !arg.is_bare() && !arg.flag(&Errors::default())) {
        let ty = spelled(&field.ty);
        if !ty.starts_with("Option") && ty != "bool" {
            errors.at(
                arg.tokens(),
                format!("without a default a `{ty}` must be given: make the field an `Option`, or give it a `default`"),
            );
        }
    }
    Some(field)
}

fn check_range(field: &mut Field, errors: &Errors) {
    if let (Some(min), Some(max)) = (&field.min, &field.max)
        && min.value > max.value
    {
        errors.at(&min.tokens, format!("`min` is greater than `max`, which is {}", max.value));
        (field.min, field.max) = (None, None);
    }
    let Some(Default { value: DefaultValue::Number(value), tokens }) = &field.default else {
        return;
    };
    let problem = match (&field.min, &field.max) {
        (Some(min), _) if *value < min.value => {
            format!("the default is less than `min`, which is {}", min.value)
        }
        (_, Some(max)) if *value > max.value => {
            format!("the default is greater than `max`, which is {}", max.value)
        }
        _ => return,
    };
    errors.at(tokens, problem);
    field.default = None;
}

fn number(arg: &Arg, errors: &Errors) -> Option<Number> {
    let value = match arg.read::<Expr>("a number", errors)? {
        Expr::Lit(ExprLit { lit, .. }) => literal_number(&lit),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => negative(&expr),
        _ => None,
    };
    if value.is_none() {
        errors.at(arg.value_tokens(), format!("`{}` takes a number: `{0} = 1`", arg.name()));
    }
    value.map(|value| Number { value, tokens: arg.value_tokens() })
}

fn negative(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Lit(ExprLit { lit, .. }) => literal_number(lit).map(|value| -value),
        _ => None,
    }
}

fn literal_number(lit: &Lit) -> Option<f64> {
    match lit {
        Lit::Int(int) => int.base10_digits().parse().ok(),
        Lit::Float(float) => float.base10_digits().parse().ok(),
        _ => None,
    }
}

fn default(arg: &Arg, ty: &Type, errors: &Errors) -> Option<Default> {
    let expr: Expr = arg.read("a literal", errors)?;
    let value = match &expr {
        Expr::Lit(ExprLit { lit: Lit::Bool(value), .. }) => Some(DefaultValue::Boolean(value.value)),
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(DefaultValue::Text(text.value())),
        Expr::Lit(ExprLit { lit, .. }) => literal_number(lit).map(DefaultValue::Number),
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => negative(expr).map(DefaultValue::Number),
        Expr::Path(path) if is_variant(path) && !is_known(ty) => Some(DefaultValue::Choice(choice(path, ty))),
        _ => None,
    };
    if value.is_none() {
        let problem =
            "`default` takes a literal, or a variant of the field's enum: the form shows it without running any code";
        errors.at(arg.value_tokens(), problem);
    }
    value.map(|value| Default { value, tokens: arg.value_tokens() })
}

/// Whether it is written as a variant is, in CamelCase, and not as a constant.
fn is_variant(path: &ExprPath) -> bool {
    let last = path.path.segments.last().map(|segment| segment.ident.to_string()).unwrap_or_default();
    last.starts_with(char::is_uppercase) && (last.chars().count() == 1 || last.chars().any(char::is_lowercase))
}

/// Whether the type is one of those that are no enum. Only for the wording of an error: what a field
/// takes is judged by its trait.
fn is_known(ty: &Type) -> bool {
    const KNOWN: &[&str] = &[
        "bool", "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize", "f32", "f64", "String",
        "Secret",
    ];
    KNOWN.contains(&spelled(ty).as_str())
}

fn choice(path: &ExprPath, ty: &Type) -> Expr {
    if path.path.get_ident().is_some() { syn::parse_quote!(<#ty>::#path) } else { syn::parse_quote!(#path) }
}

/// The type, as an author writes it.
fn spelled(ty: &Type) -> String {
    let tokens: TokenStream = quote!(#ty);
    tokens.to_string().replace(' ', "")
}
