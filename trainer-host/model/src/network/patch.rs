//! Between images and rows of patches.

use burn::tensor::Tensor;

/// Cuts `[B, C, H, W]` into rows `[B*T, C*p*p]`, patches row by row, values in (channel, row, column) order: that of a
/// convolution's weight, so that a convolution of kernel and stride p is a product with its flattened weight.
///
/// H and W must be multiples of `patch`.
pub fn patch_rows(x: Tensor<4>, patch: usize) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    let (rows, columns) = (height / patch, width / patch);
    x.reshape([batch, channels, rows, patch, columns, patch])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch * rows * columns, channels * patch * patch])
}

/// Cuts `[B, C, H, W]` into tokens `[B, T, p*p*C]`, values in (row, column, channel) order: that of the final layer, and
/// the inverse of [`unpatchify`].
///
/// H and W must be multiples of `patch`.
pub fn patchify(x: Tensor<4>, patch: usize) -> Tensor<3> {
    let [batch, channels, height, width] = x.dims();
    let (rows, columns) = (height / patch, width / patch);
    x.reshape([batch, channels, rows, patch, columns, patch])
        .permute([0, 2, 4, 3, 5, 1])
        .reshape([batch, rows * columns, patch * patch * channels])
}

/// Joins square patches `[B, grid*grid, p*p*C]`, values in (row, column, channel) order, to `[B, C, grid*p, grid*p]`.
pub fn unpatchify(x: Tensor<3>, grid: usize, patch: usize, channels: usize) -> Tensor<4> {
    let batch = x.dims()[0];
    x.reshape([batch, grid, grid, patch, patch, channels])
        .permute([0, 5, 1, 3, 2, 4])
        .reshape([batch, channels, grid * patch, grid * patch])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Int};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn should_come_back_from_patches(batch in 0usize..3, channels in 1usize..5, grid in 1usize..4, patch in 1usize..4) {
            let side = grid * patch;
            let count = (batch * channels * side * side) as i64;
            let x = Tensor::<1, Int>::arange(0..count, &Device::flex())
                .float()
                .reshape([batch, channels, side, side]);
            let back = unpatchify(patchify(x.clone(), patch), grid, patch, channels);
            prop_assert_eq!(back.into_data(), x.into_data());
        }
    }

    #[test]
    fn should_order_values_as_a_convolution_does() {
        let x = Tensor::<1, Int>::arange(0..16, &Device::flex())
            .float()
            .reshape([1, 1, 4, 4]);
        let rows = patch_rows(x, 2).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(rows[..8], [0.0, 1.0, 4.0, 5.0, 2.0, 3.0, 6.0, 7.0]);
    }
}
