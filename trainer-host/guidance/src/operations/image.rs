//! Convolution and resizing of `[B, C, H, W]`.

use burn::backend::ops::{ConvOptions, FloatTensorOps, ModuleOps};
use burn::backend::{Dispatch, DispatchDevice, DispatchTensor};
use burn::tensor::TensorData;
use sextant_plugin_api::abi::{self, DType, Interpolation};

use super::linear_algebra::needs_vector;
use super::spec::{float_dtype, physical, reshaped, same_dtype};
use super::{Checked, Request};
use crate::fault::Fault;

type D = Dispatch;

/// Extents beyond this are taken for a mistake.
const MAX_EXTENT: u64 = 1 << 16;

pub(super) fn conv2d<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let (x, weight) = (request.input(0), request.input(1));
    x.needs_float("x")?;
    same_dtype(x, weight)?;
    x.needs_rank("x", 4)?;
    weight.needs_rank("weight", 4)?;
    let shape: abi::Conv2d = request.attributes.read()?;
    let all = [shape.stride, shape.padding, shape.dilation].concat();
    if all.iter().any(|n| *n > MAX_EXTENT) || shape.groups > MAX_EXTENT {
        return Err(Fault::Attribute(format!(
            "stride, padding, dilation and groups must be at most {MAX_EXTENT}"
        )));
    }
    let [stride, padding, dilation] =
        [shape.stride, shape.padding, shape.dilation].map(|pair| pair.map(|n| n as usize));
    let groups = shape.groups as usize;
    if stride.contains(&0) || dilation.contains(&0) || groups == 0 {
        return Err(Fault::Attribute(
            "stride, dilation and groups must be at least 1".into(),
        ));
    }
    let (outputs, channels) = (weight.shape[0], x.shape[1]);
    if weight.shape[1] * groups != channels || !outputs.is_multiple_of(groups) {
        return Err(Fault::Operand(format!(
            "weight {:?} does not fit {channels} channels in {groups} groups: it must be [out, {}, kh, kw] with out a \
             multiple of {groups}",
            weight.shape,
            channels / groups
        )));
    }
    if let Some(bias) = request.optional(2) {
        same_dtype(x, bias)?;
        needs_vector(bias, "bias", outputs)?;
    }
    let mut output = vec![x.shape[0], outputs];
    for i in 0..2 {
        let (extent, kernel, dilation, padding) = (x.shape[2 + i], weight.shape[2 + i], dilation[i], padding[i]);
        let padded = extent + 2 * padding;
        if kernel == 0 || channels == 0 || padded < dilation * (kernel - 1) + 1 {
            return Err(Fault::Operand(format!(
                "a kernel of {kernel} (dilation {dilation}) does not fit into {extent} with padding {padding}"
            )));
        }
        output.push((padded - dilation * (kernel - 1) - 1) / stride[i] + 1);
    }
    let options = ConvOptions::new(stride, padding, dilation, groups);
    Checked::one(x.with_shape(output), move |mut operands, _| {
        let (x, weight) = (operands.take(0), operands.take(1));
        D::conv2d(x, weight, operands.optional(2), options)
    })
}

/// Resizing is linear and separable, so it is two products with small matrices, `A_h x A_w^T`: differentiable on every
/// backend (burn's own is not for all modes) and the same numbers as PyTorch's.
pub(super) fn interpolate<'a>(request: &Request<'_>) -> Result<Checked<'a>, Fault> {
    let x = request.input(0);
    x.needs_float("x")?;
    x.needs_rank("x", 4)?;
    let attributes: abi::Interpolate = request.attributes.read()?;
    let (code, all) = (
        attributes.mode,
        [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic],
    );
    let mode = Fault::code("interpolation", code, all.into_iter().find(|mode| *mode as u32 == code))?;
    let (height, width) = (attributes.height, attributes.width);
    if !(1..=MAX_EXTENT).contains(&height) || !(1..=MAX_EXTENT).contains(&width) {
        return Err(Fault::Attribute(format!(
            "the new size {height}x{width} must be from 1 to {MAX_EXTENT} on each side"
        )));
    }
    let [batch, channels, from_h, from_w] = [x.shape[0], x.shape[1], x.shape[2], x.shape[3]];
    if from_h == 0 || from_w == 0 {
        return Err(Fault::Operand("x has no pixels".into()));
    }
    let (height, width) = (height as usize, width as usize);
    let corners = attributes.align_corners != 0;
    let dtype = x.dtype;
    let output = x.with_shape(vec![batch, channels, height, width]);
    let target = physical(&output.shape);
    Checked::one(output, move |mut operands, context| {
        let planes = batch * channels;
        let mut x = operands.take(0);
        if (from_w, from_h) == (width, height) {
            return x;
        }
        if from_w != width {
            let a = matrix(from_w, width, mode, corners, dtype, &context.device);
            let rows = reshaped(x, vec![planes * from_h, from_w].into());
            x = D::float_matmul(rows, D::float_swap_dims(a, 0, 1));
        }
        if from_h != height {
            let a = matrix(from_h, height, mode, corners, dtype, &context.device);
            let a = D::float_expand(
                reshaped(a, vec![1, height, from_h].into()),
                vec![planes, height, from_h].into(),
            );
            x = D::float_matmul(a, reshaped(x, vec![planes, from_h, width].into()));
        }
        reshaped(x, target)
    })
}

/// `[to, from]`: row i holds the weights of the old pixels in the new pixel i.
fn matrix(
    from: usize,
    to: usize,
    mode: Interpolation,
    corners: bool,
    dtype: DType,
    device: &DispatchDevice,
) -> DispatchTensor {
    let data = TensorData::new(weights(from, to, mode, corners), [to, from]);
    let matrix = D::float_from_data(data, device);
    match dtype {
        DType::F32 => matrix,
        dtype => D::float_cast(matrix, float_dtype(dtype)),
    }
}

fn weights(from: usize, to: usize, mode: Interpolation, corners: bool) -> Vec<f32> {
    let mut weights = vec![0f32; from * to];
    let scale = match corners {
        true if to > 1 => (from - 1) as f64 / (to - 1) as f64,
        true => 0.0,
        false => from as f64 / to as f64,
    };
    for i in 0..to {
        let mut add = |pixel: f64, weight: f64| {
            let pixel = pixel.clamp(0.0, (from - 1) as f64) as usize;
            weights[i * from + pixel] += weight as f32;
        };
        let place = match corners {
            true => i as f64 * scale,
            false => (i as f64 + 0.5) * scale - 0.5,
        };
        match mode {
            Interpolation::Nearest => add((i * from / to) as f64, 1.0),
            Interpolation::Bilinear => {
                let place = place.max(0.0);
                let low = place.floor();
                add(low, 1.0 - (place - low));
                add(low + 1.0, place - low);
            }
            Interpolation::Bicubic => {
                let low = place.floor();
                for offset in -1..=2 {
                    let pixel = low + f64::from(offset);
                    add(pixel, cubic(place - pixel));
                }
            }
        }
    }
    weights
}

/// Keys' kernel with a = -0.75, PyTorch's choice.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.75;
    let d = distance.abs();
    match d {
        d if d <= 1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
        d if d < 2.0 => ((d - 5.0) * d + 8.0) * d * A - 4.0 * A,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f32], wanted: &[f32]) {
        assert_eq!(found.len(), wanted.len());
        for (f, w) in found.iter().zip(wanted) {
            assert!((f - w).abs() < 1e-6, "{found:?} is not {wanted:?}");
        }
    }

    #[test]
    fn should_weigh_pixels_as_pytorch_does() {
        use Interpolation::{Bicubic, Bilinear, Nearest};
        // F.interpolate of the identity, 3 to 2 and 2 to 4 pixels.
        close(&weights(2, 4, Nearest, false), &[1., 0., 1., 0., 0., 1., 0., 1.]);
        let quarters = [1., 0., 0.75, 0.25, 0.25, 0.75, 0., 1.];
        close(&weights(2, 4, Bilinear, false), &quarters);
        close(&weights(3, 2, Bilinear, true), &[1., 0., 0., 0., 0., 1.]);
        close(&weights(3, 2, Bilinear, false), &[0.75, 0.25, 0., 0., 0.25, 0.75]);
        // torch: kernel at distances 1.25, 0.25, 0.75, 1.75 is -0.10546875, 0.87890625, 0.26171875, -0.03515625.
        let first = [-0.035_156_25 + 0.261_718_75 + 0.878_906_25, -0.105_468_75];
        close(&weights(2, 4, Bicubic, false)[..2], &first);
    }

    #[test]
    fn should_keep_constants_in_every_mode() {
        for mode in [Interpolation::Nearest, Interpolation::Bilinear, Interpolation::Bicubic] {
            for (from, to) in [(1, 5), (5, 1), (4, 9), (9, 4), (3, 3)] {
                for corners in [false, true] {
                    for row in weights(from, to, mode, corners).chunks(from) {
                        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                    }
                }
            }
        }
    }
}
