//! The labels beside samples of others, in whatever kind of number they were written.

use std::io::{self, Read};

use npyz::{DType, Deserialize, NpyFile, NpyHeader, TypeChar};

/// Labels are read as floating-point numbers: a larger one is no class of any data.
const LARGEST: f64 = 4_294_967_296.0;

/// A label of a sample, with the sample's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelOf {
    /// The sample, counted from 0.
    pub sample: u64,
    /// Its label.
    pub label: u64,
}

/// A fault of an array of labels.
#[derive(Debug, thiserror::Error)]
pub enum NoLabels {
    /// Values of another kind.
    #[error("holds {0}; labels are whole numbers, such as int64")]
    Kind(String),
    /// A value that is no class.
    #[error("holds {value} at {sample}, the label of a sample; labels are whole numbers of at least 0")]
    Value {
        /// The sample, counted from 0.
        sample: u64,
        /// Its value.
        value: f64,
    },
    /// Fewer values than there should be, or damaged ones.
    #[error("is cut off or damaged: {0}")]
    Cut(#[from] io::Error),
}

/// Reads an array of labels to its end; the first of the largest ones, or none where there are none.
///
/// # Errors
/// Values that are no labels.
pub fn largest(header: NpyHeader, mut values: impl Read) -> Result<Option<LabelOf>, NoLabels> {
    let kind = header.dtype();
    let file = NpyFile::with_header(header, &mut values);
    let kind_of = match &kind {
        DType::Plain(kind) => Some((kind.type_char(), kind.size_field())),
        _ => None,
    };
    let found = match kind_of {
        Some((TypeChar::Int, 1)) => scan::<i8>(file, f64::from),
        Some((TypeChar::Int, 2)) => scan::<i16>(file, f64::from),
        Some((TypeChar::Int, 4)) => scan::<i32>(file, f64::from),
        Some((TypeChar::Int, 8)) => scan::<i64>(file, |value| value as f64),
        Some((TypeChar::Uint, 1)) => scan::<u8>(file, f64::from),
        Some((TypeChar::Uint, 2)) => scan::<u16>(file, f64::from),
        Some((TypeChar::Uint, 4)) => scan::<u32>(file, f64::from),
        Some((TypeChar::Uint, 8)) => scan::<u64>(file, |value| value as f64),
        Some((TypeChar::Float, 4)) => scan::<f32>(file, f64::from),
        Some((TypeChar::Float, 8)) => scan::<f64>(file, |value| value),
        _ => Err(NoLabels::Kind(kind.descr())),
    }?;
    // To the end, where the archive's checksum is compared.
    io::copy(&mut values, &mut io::sink())?;
    Ok(found)
}

fn scan<T: Deserialize>(file: NpyFile<impl Read>, number: impl Fn(T) -> f64) -> Result<Option<LabelOf>, NoLabels> {
    let kind = file.dtype().descr();
    let values = file.data::<T>().map_err(|_| NoLabels::Kind(kind))?;
    let mut largest: Option<LabelOf> = None;
    for (value, sample) in values.zip(0..) {
        let value = number(value?);
        if !(0.0..LARGEST).contains(&value) || value.fract() != 0.0 {
            return Err(NoLabels::Value { sample, value });
        }
        let label = value as u64;
        if largest.is_none_or(|largest| label > largest.label) {
            largest = Some(LabelOf { sample, label });
        }
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::super::npz::array;
    use super::*;

    fn of<T: npyz::AutoSerialize + Copy>(values: &[T]) -> Result<Option<LabelOf>, String> {
        let bytes = array(values, &[values.len() as u64]).unwrap();
        let mut rest = bytes.as_slice();
        let header = NpyHeader::from_reader(&mut rest).unwrap();
        largest(header, rest).map_err(|e| e.to_string())
    }

    #[test]
    fn whole_numbers_of_any_kind_are_labels() {
        let wanted = Some(LabelOf { sample: 1, label: 8 });
        assert_eq!(of(&[4i64, 8, 0, 8]), Ok(wanted));
        assert_eq!(of(&[4u8, 8, 0, 8]), Ok(wanted));
        assert_eq!(of(&[4f32, 8.0, 0.0, 8.0]), Ok(wanted));
        assert_eq!(of::<i64>(&[]), Ok(None));
    }

    #[test]
    fn other_values_are_named_with_their_place() {
        let said = |found: Result<Option<LabelOf>, String>| found.unwrap_err();
        assert!(said(of(&[1f64, 99.5])).contains("holds 99.5 at 1, "));
        assert!(said(of(&[0i64, 1, -1])).contains("holds -1 at 2, "));
        assert!(said(of(&[f32::NAN])).contains("holds NaN at 0, "));
        assert!(said(of(&[u64::MAX])).contains("holds 18446744073709552000 at 0, "));
        assert!(said(of(&[true])).contains("holds '|b1'; labels are whole numbers"));
    }
}
