//! Durations as they are written: `"500ms"`, `"30s"`, `"15m"`, `"24h"`, `"7d"`.

use syn::LitStr;

use crate::errors::Errors;

/// Reads a duration in milliseconds.
pub(crate) fn milliseconds(text: &LitStr, errors: &Errors) -> Option<u64> {
    parse(&text.value()).map_err(|reason| errors.at(text, reason)).ok()
}

fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    if number.is_empty() || factor == 0 {
        return Err(format!(
            "`{text}` is no duration: write a whole number and `ms`, `s`, `m`, `h` or `d`, as in `\"15m\"`"
        ));
    }
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)) {
        None => Err(format!("`{text}` is too long")),
        Some(0) => Err("a duration may not be zero".to_owned()),
        Some(milliseconds) => Ok(milliseconds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R11.1
    #[test]
    fn durations_have_a_number_and_a_unit() {
        for (text, milliseconds) in [
            ("500ms", Some(500)),
            ("2s", Some(2_000)),
            ("15m", Some(900_000)),
            ("24h", Some(86_400_000)),
            ("7d", Some(604_800_000)),
            ("0s", None),
            ("", None),
            ("15", None),
            ("m", None),
            ("1.5h", None),
            ("-1s", None),
            ("1 h", None),
            ("1M", None),
            ("99999999999999999999s", None),
            ("9999999999999999999d", None),
        ] {
            assert_eq!(parse(text).ok(), milliseconds, "{text}");
        }
    }
}
