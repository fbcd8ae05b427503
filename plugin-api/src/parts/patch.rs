//! Patches.

use crate::{Error, Tensor};

/// Cuts `[B, C, H, W]` into patches of side `patch`: `[B, T, patch * patch * C]`, patches row by row, and in each the
/// order (row, column, channel), which is that of a SiT's final layer.
///
/// # Errors
/// If the tensor has not four dimensions, or `patch` does not divide height and width.
#[track_caller]
pub fn patchify(x: impl Into<Tensor>, patch: usize) -> Result<Tensor, Error> {
    let x = x.into();
    let [b, c, h, w] = x.dims()?;
    if patch == 0 || h % patch != 0 || w % patch != 0 {
        return Err(Error::new(format!(
            "patches of side {patch} do not tile latents of {h} by {w}"
        )));
    }
    let (rows, cols) = (h / patch, w / patch);
    Ok(x.reshape([b, c, rows, patch, cols, patch])
        .permute([0, 2, 4, 3, 5, 1])
        .reshape([b, rows * cols, patch * patch * c]))
}
