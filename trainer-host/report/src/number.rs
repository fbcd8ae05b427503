//! Numbers as people read them.

/// `value` with `digits` significant digits and at most `most_decimals` decimals; very large and very small numbers in
/// scientific notation.
pub fn significant(value: f64, digits: usize, most_decimals: usize) -> String {
    if !value.is_finite() {
        return not_finite(value).to_string();
    }
    if value == 0.0 {
        return "0".to_string();
    }
    let magnitude = value.abs().log10().floor() as i32;
    if magnitude >= 7 || magnitude < -(most_decimals as i32) {
        return format!("{value:.*e}", digits.saturating_sub(1));
    }
    let decimals = (digits as i32 - 1 - magnitude).clamp(0, most_decimals as i32);
    fixed(value, decimals as usize)
}

/// `value` with exactly so many decimals, thousands set apart by commas from 10,000 on.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return not_finite(value).to_string();
    }
    let text = format!("{value:.decimals$}");
    // A negative number that rounds to nothing is nothing.
    let text = match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| matches!(c, '0' | '.')) => rest.to_string(),
        _ => text,
    };
    let (sign, rest) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (whole, fraction) = rest
        .split_once('.')
        .map_or((rest, None), |(whole, fraction)| (whole, Some(fraction)));
    let fraction = fraction.map(|f| format!(".{f}")).unwrap_or_default();
    format!("{sign}{}{fraction}", grouped(whole))
}

/// `value` with its sign and three significant digits, for differences.
pub fn signed(value: f64) -> String {
    // Equal means differ by their rounding: that is no difference.
    let value = if value.abs() < 1e-12 { 0.0 } else { value };
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}", significant(value, 3, 5))
}

/// `value` with its sign and exactly so many decimals.
pub fn signed_to(value: f64, decimals: usize) -> String {
    let text = fixed(value, decimals);
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    if value > 0.0 && !is_zero {
        format!("+{text}")
    } else {
        text
    }
}

/// A fraction in per cent: 0.95 is `95 %`.
pub fn percent(share: f64) -> String {
    let text = significant(share * 100.0, 3, 1);
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// `value` in as many digits as it has, at most three decimals.
pub fn short(value: f64) -> String {
    let text = significant(value, 3, 3);
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A whole number, thousands set apart by commas from 10,000 on.
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

fn grouped(digits: &str) -> String {
    if digits.len() < 5 {
        return digits.to_string();
    }
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = if first > 0 { vec![&digits[..first]] } else { vec![] };
    groups.extend((first..digits.len()).step_by(3).map(|i| &digits[i..i + 3]));
    groups.join(",")
}

fn not_finite(value: f64) -> &'static str {
    match value {
        v if v.is_nan() => "NaN",
        v if v > 0.0 => "inf",
        _ => "-inf",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_follow_the_magnitude_and_thousands_are_grouped() {
        for (value, digits, decimals, text) in [
            (0.256_14, 4, 4, "0.2561"),
            (812.345, 4, 4, "812.3"),
            (-0.614_99, 4, 4, "-0.6150"),
            (0.000_012_34, 4, 4, "1.234e-5"),
            (12_345_678.0, 3, 3, "1.23e7"),
            (0.0, 3, 3, "0"),
            (9.999_96, 4, 4, "10.000"),
            (-123_456.78, 7, 1, "-123,456.8"),
            (f64::NAN, 4, 4, "NaN"),
            (f64::INFINITY, 4, 4, "inf"),
            (f64::NEG_INFINITY, 4, 4, "-inf"),
        ] {
            assert_eq!(significant(value, digits, decimals), text);
        }
        assert_eq!([1600, 16_000, 1_234_567].map(count), ["1600", "16,000", "1,234,567"]);
        assert_eq!(
            [0.2, 0.25, 1.0, 1.5, 10.0, 30.0, 0.0].map(short),
            ["0.2", "0.25", "1", "1.5", "10", "30", "0"]
        );
    }

    #[test]
    fn a_difference_of_rounding_is_none() {
        assert_eq!(signed(3.7e-17), "0");
        assert_eq!(signed(-1e-9), significant(-1e-9, 3, 5));
        assert_eq!((fixed(-0.01, 1), signed_to(0.01, 1)), ("0.0".into(), "0.0".into()));
    }
}
