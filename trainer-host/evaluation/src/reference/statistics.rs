//! A mean and a covariance in an `.npz`.

use std::fs::File;
use std::io::{BufReader, Read};

use npyz::NpyFile;
use zip::ZipArchive;

use super::error::ReferenceFault;
use sextant_stats::measure::Gaussian;

/// Names of the arrays, as pytorch-fid and the ADM suite write them.
const MEAN: &str = "mu";
const COVARIANCE: &str = "sigma";

/// Most features of a network whose statistics are read: a covariance of 2 GB.
const MOST: u64 = 1 << 14;

/// Largest difference of two values of the covariance that are one, in its largest value.
const ASYMMETRY: f64 = 1e-5;

/// A mean and a covariance of features.
#[derive(Debug, Clone, PartialEq)]
pub struct Statistics {
    /// `[D]`
    mean: Vec<f64>,
    /// `[D, D]`, symmetric.
    covariance: Vec<f64>,
}

impl Statistics {
    /// Reads those of an open archive with arrays of these `names`; none where it has neither mean nor covariance.
    ///
    /// # Errors
    /// One without the other, another shape or type, values that are not finite, a covariance that is not symmetric.
    pub fn read(archive: &mut ZipArchive<BufReader<File>>, names: &[String]) -> Result<Option<Self>, ReferenceFault> {
        let there = |key: &str| names.iter().any(|name| name == key);
        let missing = match [MEAN, COVARIANCE].map(there) {
            [false, false] => return Ok(None),
            [true, true] => None,
            [true, false] => Some(COVARIANCE),
            [false, true] => Some(MEAN),
        };
        if let Some(key) = missing {
            let reason = format!(
                "is missing: statistics are {MEAN} [D] and {COVARIANCE} [D, D], and it has [{}]",
                names.join(", ")
            );
            return Err(ReferenceFault::Array { key, reason });
        }
        let (shape, mean) = values(
            archive,
            MEAN,
            |shape| matches!(*shape, [width] if (1..=MOST).contains(&width)),
        )?;
        let side = shape[0];
        let (_, covariance) = values(archive, COVARIANCE, |shape| *shape == [side, side])?;
        let width = mean.len();
        let largest = covariance.iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        let mirrored = |i: usize, j: usize| (covariance[i * width + j], covariance[j * width + i]);
        let pairs = (0..width).flat_map(|i| (0..i).map(move |j| (i, j)));
        let differs = |&(i, j): &(usize, usize)| {
            let (one, other) = mirrored(i, j);
            (one - other).abs() > ASYMMETRY * largest
        };
        if let Some((i, j)) = pairs.into_iter().find(differs) {
            let (one, other) = mirrored(i, j);
            return Err(wrong(
                COVARIANCE,
                format!("is not symmetric, as a covariance is: [{i}, {j}] is {one} and [{j}, {i}] is {other}"),
            ));
        }
        Ok(Some(Self { mean, covariance }))
    }

    /// D.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Their Gaussian.
    ///
    /// # Errors
    /// A covariance with a variance below 0.
    pub fn gaussian(&self) -> Result<Gaussian, ReferenceFault> {
        Gaussian::new(self.mean.clone(), &self.covariance).map_err(ReferenceFault::Sigma)
    }
}

fn wrong(key: &'static str, reason: String) -> ReferenceFault {
    ReferenceFault::Array { key, reason }
}

/// Shape and values of an array of f32 or f64, row-major or not: of the two that are read here, the one has no rows and the other is
/// its own transpose.
fn values(
    archive: &mut ZipArchive<BufReader<File>>,
    key: &'static str,
    fits: impl Fn(&[u64]) -> bool,
) -> Result<(Vec<u64>, Vec<f64>), ReferenceFault> {
    let damaged = |reason: &dyn std::fmt::Display| wrong(key, format!("is cut off or damaged: {reason}"));
    let mut member = archive.by_name(&format!("{key}.npy")).map_err(|e| damaged(&e))?;
    let file = NpyFile::new(&mut member).map_err(|e| damaged(&e))?;
    let shape = file.shape().to_vec();
    if !fits(&shape) {
        let wanted = match key {
            MEAN => format!("[D] is wanted, D at most {MOST}"),
            _ => format!("[D, D] is wanted, with the D of {MEAN}"),
        };
        return Err(wrong(key, format!("has the shape {shape:?}; {wanted}")));
    }
    let values: Vec<f64> = match file.dtype().descr().as_str() {
        "'<f8'" => file.into_vec::<f64>().map_err(|e| damaged(&e))?,
        "'<f4'" => {
            let values = file.into_vec::<f32>().map_err(|e| damaged(&e))?;
            values.into_iter().map(f64::from).collect()
        }
        other => return Err(wrong(key, format!("holds {other}; '<f8' and '<f4' are read"))),
    };
    // To the end, where the archive's checksum is compared.
    std::io::copy(&mut member.by_ref(), &mut std::io::sink()).map_err(|e| damaged(&e))?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(wrong(
            key,
            format!(
                "holds {} at place {place}; every value must be a finite number",
                values[place]
            ),
        )),
        None => Ok((shape, values)),
    }
}
